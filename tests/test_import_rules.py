"""Who may import whom (docs/architecture.md), read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))
LEAVES = ("structures", "ops", "losses")
MODEL = ("backbones", "necks", "rpn", "roi", "maskrcnn", "solo", "solov2")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for folder in ("maskrcnn_jax", "configs")
    for path in sorted((ROOT / folder).rglob("*.py"))
} | {name: ROOT / f"{name}.py" for name in SCRIPTS}


def imports(name):
    """Full names of everything that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_within(name, *parts):
    """Whether a module is one of these parts of the package, or inside of one."""
    return any(f"{name}.".startswith(f"maskrcnn_jax.{part}.") for part in parts)


def offences(inside, forbidden):
    """Imports by modules of the parts ``inside`` for which ``forbidden`` is true."""
    return [
        f"{name} imports {other}"
        for name in MODULES
        if is_within(name, *inside)
        for other in sorted(imports(name))
        if forbidden(other)
    ]


def test_the_modules_are_found():
    assert {"train", "eval", "predict"} <= set(SCRIPTS)
    for part in (*LEAVES, *MODEL, "data", "evaluation", "training"):
        assert any(is_within(name, part) for name in MODULES), part
    assert "maskrcnn_jax.structures.Batch" in imports("maskrcnn_jax.maskrcnn")


def test_leaves_import_nothing_of_ours_but_each_other():
    def forbidden(other):
        return other.startswith("maskrcnn_jax") and not is_within(other, *LEAVES)

    assert offences(LEAVES, forbidden) == []


@pytest.mark.parametrize(
    ("one", "other"), [("rpn", "roi"), ("roi", "rpn"), ("solo", "roi"), ("roi", "solo")]
)
def test_the_parts_of_a_detector_do_not_know_each_other(one, other):
    assert offences([one], lambda name: is_within(name, other)) == []


def test_only_the_detector_knows_both_stages():
    """Of the model. The converters write down whole configs of other systems' models."""
    knows_both = [
        name
        for name in MODULES
        if name.startswith("maskrcnn_jax")
        and not is_within(name, "convert")
        and all(any(is_within(other, part) for other in imports(name)) for part in ("rpn", "roi"))
    ]
    assert knows_both == ["maskrcnn_jax.maskrcnn"]


def test_backbones_and_necks_know_no_other_part_of_the_model():
    for part in ("backbones", "necks"):
        others = [name for name in MODEL if name != part]
        assert offences([part], lambda name, others=others: is_within(name, *others)) == []


def test_data_evaluation_and_video_never_import_a_model():
    inside = ["data", "evaluation", "video"]
    assert offences(inside, lambda name: is_within(name, *MODEL)) == []


def test_models_do_not_know_what_uses_them():
    assert offences(MODEL, lambda name: is_within(name, "inference", "exporting")) == []
    assert offences(["exporting"], lambda name: is_within(name, "inference")) == []


def test_the_package_imports_neither_scripts_nor_presets():
    """But for ``cli``, which finds the presets for the package's commands, if they are there."""
    package = [name for name in MODULES if name.startswith("maskrcnn_jax")]
    found = [
        (name, other)
        for name in package
        for other in imports(name)
        if other.split(".")[0] in SCRIPTS
        or (other.split(".")[0] == "configs" and name != "maskrcnn_jax.cli")
    ]
    assert found == []


def test_nothing_mentions_tensorflow_or_torch_in_an_import():
    frameworks = {"tensorflow", "torch", "torchvision", "keras"}
    found = [
        (name, other)
        for name in MODULES
        for other in imports(name)
        if other.split(".")[0] in frameworks
    ]
    assert found == []


def test_importing_everything_loads_neither_tensorflow_nor_torch():
    """Also not through the libraries that we use."""
    program = f"""
import importlib, sys
for name in {sorted(MODULES)!r}:
    importlib.import_module(name)
print(sorted({{"tensorflow", "torch", "keras"}} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
