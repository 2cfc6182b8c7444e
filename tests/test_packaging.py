"""What is installed, and what it says of itself (``tests/slow/test_wheel.py`` installs it)."""

import re
import tomllib
from pathlib import Path

import maskrcnn_jax

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "maskrcnn_jax"
VERSION = maskrcnn_jax.__version__
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]


def test_the_version_is_the_same_everywhere():
    assert "version" not in PYPROJECT["project"]
    assert SETUPTOOLS["dynamic"]["version"] == {"attr": "maskrcnn_jax.__version__"}
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE).group(1) == VERSION
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"[{VERSION}]" in changelog or f"Will be {VERSION}" in changelog


def test_every_folder_of_code_is_a_package():
    """The build takes packages only; a folder without ``__init__.py`` would be left out."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_other_files_of_the_package_are_named_as_its_data():
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    others = {path for path in files if path.suffix not in (".py", ".pyc")}
    named = SETUPTOOLS["package-data"].items()
    patterns = [(ROOT / place.replace(".", "/"), one) for place, all_ in named for one in all_]
    assert others == {path for folder, pattern in patterns for path in folder.glob(pattern)}


def test_the_packages_command_lines_can_be_found_in_its_docs():
    """The commands that an installed package has, unlike the scripts."""
    commands = {".".join(p.relative_to(ROOT).parent.parts) for p in PACKAGE.rglob("__main__.py")}
    texts = "".join(path.read_text() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
    texts += (ROOT / "demo.sh").read_text()
    assert {name for name in commands if f"python -m {name}" not in texts} == set()
