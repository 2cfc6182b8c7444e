"""``completion.bash``, with a stand-in for Python that notes how often it is asked.

It is sourced in the root of the repository, where the scripts are.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "completion.bash"
PYTHON = """#!/bin/bash
echo "$@" >> {asked}
case "$*" in
    "train.py --help names") printf 'shapes\\nshapes_solov2\\npenn_fudan\\n' ;;
    "train.py shapes --help names")
        printf -- '--help all model\\n--workdir\\n--model.paste a b\\n' ;;
    "train.py finetune --data.root ROOT --init.backbone FILE --help names")
        printf -- '--model.paste\n' ;;
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


def complete(python, *lines, folder=SCRIPT.parent):
    """What each line is completed to, in one shell; its last word is unfinished."""
    program = [f"source {SCRIPT}"]
    for words in lines:
        quoted = " ".join(f"'{word}'" for word in (python, *words.split(" ")))
        program += [
            f"COMP_WORDS=({quoted}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()",
            '_maskrcnn_jax; echo "${COMPREPLY[*]}"',
        ]
    result = subprocess.run(
        ["bash", "-c", "\n".join(program)], cwd=folder, capture_output=True, text=True, check=True
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
        ("train.py finetune --data.root ROOT --init.backbone FILE --", "--model.paste"),
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


def test_programs_of_others_are_not_run(python, tmp_path):
    for name in ("train.py", "retrieval.py"):
        (tmp_path / name).touch()
    lines = ["train.py ", "./train.py sh", f"{tmp_path}/train.py ", "retrieval.py --"]
    assert complete(python, *lines, folder=tmp_path) == ["", "", "", ""]
    assert not (tmp_path / "asked").exists()
    assert complete(python, f"{SCRIPT.parent}/tests/../train.py --", folder=tmp_path) == [""]
    assert (tmp_path / "asked").exists()  # ours is


def test_the_real_programs_answer():
    lines = ["-m maskrcnn_jax.data.importers v", "train.py finetune --wor"]
    assert complete(sys.executable, *lines) == ["via", "--workdir"]


def test_nothing_that_is_typed_is_run(python, tmp_path):
    complete(python, f"train.py $(touch${{IFS}}{tmp_path}/run) --")
    assert not (tmp_path / "run").exists()
