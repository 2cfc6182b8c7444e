import json

import pytest

from maskrcnn_jax.files import write_json


def test_what_is_written_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "metrics.json"
    write_json(path, {"AP": 0.25, "APs": None})
    write_json(path, {"AP": 0.5})
    assert json.loads(path.read_text()) == {"AP": 0.5}
    assert [item.name for item in path.parent.iterdir()] == ["metrics.json"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert path.read_text() == "1"
    assert len(list(tmp_path.iterdir())) == 1
