# Completes presets, options and their choices in bash: `source completion.bash`.
#
# Only of the scripts beside this file, and of the package's commands: other programs are not run.
# The program itself is asked what there is, which takes two seconds; its last answer is kept. In
# place of what `python` was completed with before, other programs get file names.

_maskrcnn_jax_folder=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
_maskrcnn_jax_asked=
_maskrcnn_jax_answer=

_maskrcnn_jax() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local at=2 script=${COMP_WORDS[1]/#\~/$HOME} name choices names=
    COMPREPLY=()
    case ${script##*/} in
        -m) [[ ${COMP_WORDS[2]} == maskrcnn_jax.* ]] && at=3 || return ;;
        train.py | eval.py | predict.py | export.py)
            [[ $script -ef $_maskrcnn_jax_folder/${script##*/} ]] || return ;;
        *) return ;;
    esac
    ((COMP_CWORD >= at)) || return

    # What decides which options there are: a preset, or where the weights are.
    local -a command=("${COMP_WORDS[@]:0:at}")
    [[ $at -lt $COMP_CWORD && ${COMP_WORDS[at]} != -* ]] && command+=("${COMP_WORDS[at]}")
    for ((; at < COMP_CWORD - 1; at++)); do
        case ${COMP_WORDS[at]} in
            --workdir | --init.checkpoint | --init.backbone | --preset | --results | --data.root)
                command+=("${COMP_WORDS[at]}" "${COMP_WORDS[at + 1]}") ;;
        esac
    done
    if [[ ${command[*]} != "$_maskrcnn_jax_asked" ]]; then
        _maskrcnn_jax_answer=$("${command[@]/#\~/$HOME}" --help names 2>/dev/null)
        _maskrcnn_jax_asked=${command[*]}
    fi

    while read -r name choices; do
        names+=" $name"
        [[ $name == "$previous" && $choices ]] && { names=$choices; break; }
    done <<<"$_maskrcnn_jax_answer"
    [[ $previous == --* && $current != -* && $names != "$choices" ]] && return  # a value
    COMPREPLY=($(compgen -W "$names" -- "$current"))
}

complete -o default -F _maskrcnn_jax python python3
