"""``docs/peer_tests.md`` names the tests that there are, and all of them."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def functions_of(path):
    return set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))


def named_tests():
    """(file, test) of every entry of the column of our tests."""
    rows = (ROOT / "docs" / "peer_tests.md").read_text().splitlines()
    cells = [row.split("|")[2].strip() for row in rows if row.startswith("|")]
    for cell in filter(lambda cell: ": " in cell, cells):
        file = None
        for entry in cell.split(", "):
            *place, name = entry.split(": ")
            if place:
                file = ROOT / place[0] if "/" in place[0] else FOLDER / f"{place[0]}.py"
            yield file, name


def test_the_named_tests_exist():
    missing = [(file.name, name) for file, name in named_tests() if name not in functions_of(file)]
    assert missing == []


def test_every_test_is_named():
    named = set(named_tests())
    files = [path for path in FOLDER.glob("test_*.py") if path.name != Path(__file__).name]
    assert len(files) > 10
    assert [(f.name, t) for f in files for t in functions_of(f) if (f, t) not in named] == []
