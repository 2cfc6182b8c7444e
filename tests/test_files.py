import json
from pathlib import Path

import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import check_writable, replaced, replaced_path, write_json


def test_what_is_written_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "metrics.json"
    write_json(path, {"AP": 0.25, "APs": None})
    write_json(path, {"AP": 0.5})
    assert json.loads(path.read_text()) == {"AP": 0.5}
    assert [item.name for item in path.parent.iterdir()] == ["metrics.json"]


def test_a_folder_is_made_or_refused_before_there_is_anything_to_write(tmp_path):
    check_writable(tmp_path / "new" / "folder", option="--out")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc")):
        with pytest.raises(InputError, match=f"--out {place}: is no folder that can be written"):
            check_writable(place, option="--out")


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert path.read_text() == "1"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_takes_its_place_only_when_all_is_written(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(b"old")
    with replaced(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    with pytest.raises(TypeError), replaced(path) as file:
        file.writelines([b"half", None])  # type: ignore
    assert path.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_library_may_open_the_file_that_takes_the_place(tmp_path):
    path = tmp_path / "new" / "video.webm"
    for content in ("old", "new"):
        with replaced_path(path) as temporary:
            assert temporary.suffix == ".webm"
            temporary.write_text(content)
    assert path.read_text() == "new"
    with pytest.raises(ZeroDivisionError), replaced_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert path.read_text() == "new"
    assert len(list(path.parent.iterdir())) == 1
