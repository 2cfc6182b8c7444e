"""The style of the package's own interface, read from the sources."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for pattern in ("maskrcnn_jax/**/*.py", "configs/*.py", "benchmarks/**/*.py", "*.py")
    for path in sorted(ROOT.glob(pattern))
}
TREES = {place: ast.parse(text) for place, text in SOURCES.items()}
MODE_FLAGS = {"training", "train", "is_training", "deterministic", "use_running_average"}


def definitions(body):
    """Functions and methods in a module's or class's body, but not those inside of functions."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body)
        elif isinstance(node, ast.FunctionDef):
            yield node


PUBLIC = {
    f"{place}: {node.name}": node
    for place, tree in TREES.items()
    for node in definitions(tree.body)
    if not node.name.startswith("_")
}


def test_functions_are_found():
    assert "maskrcnn_jax/ops/roi_align.py: roi_align" in PUBLIC
    assert "maskrcnn_jax/maskrcnn.py: predict" in PUBLIC
    assert "train.py: main" in PUBLIC


def test_modules_and_public_functions_say_what_they_do():
    described = {place: tree for place, tree in TREES.items() if tree.body} | {
        f"{place}: {node.name}": node
        for place, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert [place for place, node in described.items() if not ast.get_docstring(node)] == []


def test_there_is_no_mode_flag():
    """``loss`` and ``predict`` are two verbs."""
    flags = [
        f"{place}:{node.lineno}"
        for place, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.arg) and node.arg in MODE_FLAGS
    ]
    assert flags == []


def test_no_public_function_has_more_than_six_positional_parameters():
    long = [
        place
        for place, node in PUBLIC.items()
        if len(node.args.posonlyargs) + len(node.args.args) > 6
    ]
    assert long == []


@pytest.mark.parametrize("place", SOURCES)
def test_files_are_short(place):
    assert len(SOURCES[place].splitlines()) < 300


def test_there_is_no_drawer_for_everything():
    drawers = ("utils.py", "helpers.py", "misc.py", "common.py")
    assert [place for place in SOURCES if Path(place).name in drawers] == []
