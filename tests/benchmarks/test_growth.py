import json

import cv2
import pytest

from benchmarks.growth.__main__ import AXES, Arguments, Point, run, table, write
from maskrcnn_jax.errors import InputError

FOUND = {
    "batch": {1: Point(0.5, 2_000_000_000), 4: Point(2.5, 3_000_000_000)},
    "classes": {80: Point(0.5, 2_000_000_000), 1203: Point(0.25, 2_100_000_000)},
}


def test_each_setting_stands_beside_the_first_of_its_axis():
    rows = [row.strip("| ").split(" | ") for row in table(FOUND).splitlines()[2:]]
    assert rows == [
        ["images", "1", "0.500", "2.00", "1.00"],
        ["images", "4", "2.500", "3.00", "5.00"],
        ["classes", "80", "0.500", "2.00", "1.00"],
        ["classes", "1203", "0.250", "2.10", "0.50"],
    ]


def test_the_folder_has_numbers_a_table_and_a_plot(tmp_path):
    write(FOUND, tmp_path / "new" / "growth")
    folder = tmp_path / "new" / "growth"
    numbers = json.loads((folder / "growth.json").read_text())
    assert numbers["batch"]["4"] == {"seconds": 2.5, "peak_memory": 3_000_000_000}
    assert (folder / "growth.md").read_text() == table(FOUND) + "\n"
    assert cv2.imread(str(folder / "growth.png")).std() > 10


def test_an_unknown_axis_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(InputError, match=r"there is no axis 'clases'\. Did you mean 'classes'"):
        run(Arguments(names=("clases",), out=tmp_path / "growth"))
    assert not list(tmp_path.iterdir())


def test_every_axis_begins_at_the_smallest_setting():
    assert all(list(axis.settings) == sorted(axis.settings) for axis in AXES.values())
