"""``completion.bash``, with a stand-in for Python that notes how often it is asked."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "completion.bash"
PYTHON = """#!/bin/bash
echo "$@" >> {asked}
case "$*" in
    "train.py --help names") printf 'shapes\\nshapes_solov2\\npenn_fudan\\n' ;;
    "train.py shapes --help names")
        printf -- '--help all model\\n--workdir\\n--model.paste a b\\n' ;;
    "eval.py --workdir DIR --help names") printf -- '--split\\n' ;;
    "-m maskrcnn_jax.data.check ROOT --help names") printf -- '--split\\n--out\\n' ;;
esac
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def python(tmp_path):
    path = tmp_path / "python"
    path.write_text(PYTHON.format(asked=tmp_path / "asked"))
    path.chmod(0o755)
    return path


def complete(python, *lines):
    """What each line is completed to, in one shell; its last word is unfinished."""
    program = [f"source {SCRIPT}"]
    for words in lines:
        quoted = " ".join(f"'{word}'" for word in (python, *words.split(" ")))
        program += [
            f"COMP_WORDS=({quoted}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()",
            '_maskrcnn_jax; echo "${COMPREPLY[*]}"',
        ]
    result = subprocess.run(
        ["bash", "-c", "\n".join(program)], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train.py sh", "shapes shapes_solov2"),
        ("./train.py pen", "penn_fudan"),
        ("train.py shapes --", "--help --workdir --model.paste"),
        ("train.py shapes --workdir ru", ""),  # a file
        ("train.py shapes --model.paste ", "a b"),
        ("train.py shapes --model.paste b --work", "--workdir"),
        ("train.py shapes --help mo", "model"),
        ("train.py coco --", ""),
        ("eval.py --workdir DIR --s", "--split"),
        ("-m maskrcnn_jax.data.check ROOT --o", "--out"),
        ("-m maskrcnn_jax.data.ch", ""),
        ("other.py --", ""),
        ("-m pytest --", ""),
        ("tra", ""),
    ],
)
def test_words_are_completed(python, line, expected):
    # The stand-in knows scripts by their bare names.
    text = python.read_text().replace('"$*"', '"${*#./}"')
    python.write_text(text)
    assert complete(python, line) == [expected]


def test_the_program_is_asked_once_for_a_preset(python, tmp_path):
    lines = ["train.py shapes --", "train.py shapes --model.paste ", "train.py shapes --w"]
    complete(python, *lines, "train.py sh", "other.py --")
    assert (tmp_path / "asked").read_text() == (
        "train.py shapes --help names\ntrain.py --help names\n"
    )


def test_nothing_that_is_typed_is_run(python, tmp_path):
    complete(python, f"train.py $(touch${{IFS}}{tmp_path}/run) --")
    assert not (tmp_path / "run").exists()
