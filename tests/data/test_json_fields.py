import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data import json_fields
from maskrcnn_jax.data.json_fields import Ids
from maskrcnn_jax.data.problems import DataError, Kind


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        json_fields.read_json(path)
    assert str(error.value).startswith(f"{path}: is not valid JSON")
    return error.value.problem


@given(st.sets(st.integers(), min_size=1), st.integers())
def test_the_nearest_id_is_that_of_the_obvious_loop(ids, value):
    assert Ids(ids).nearest(value) == min(sorted(ids), key=lambda id: abs(id - value))


@pytest.mark.parametrize(
    "content", ['{"a": 1, "a": 1}', '[{"b": {"a": [], "c": 0, "a": []}}]', '{"": 1, "": 2}']
)
def test_a_key_that_is_there_twice_is_refused(tmp_path, content):
    """Python keeps the last value alone: a second "annotations" would hide the first."""
    problem = refused(tmp_path / "a.json", content.encode())
    assert problem.kind is Kind.REPEATED_KEY
    assert "twice" in problem.text


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"\xff", b""])
def test_what_python_cannot_parse_is_refused(tmp_path, content):
    assert refused(tmp_path / "a.json", content).kind is Kind.INVALID_JSON


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_of_json_is_read(tmp_path, encoding):
    (tmp_path / "a.json").write_text(json.dumps({"ü": "é"}, ensure_ascii=False), encoding=encoding)
    assert json_fields.read_json(tmp_path / "a.json") == {"ü": "é"}


def test_files_that_cannot_be_read_are_named(tmp_path):
    for path in (tmp_path, tmp_path / "absent.json"):
        with pytest.raises(DataError, match=f"^{path}: cannot be read: ") as error:
            json_fields.read_json(path)
        assert error.value.problem.kind is Kind.UNREADABLE_FILE


def test_damage_inside_an_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.json", "[1, 2, 3]")
    damaged = (tmp_path / "a.zip").read_bytes().replace(b"[1, 2", b"[1, 5", 1)
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(DataError, match=r"a\.zip/a\.json: cannot be read: Bad CRC-32"):
        json_fields.read_json(zipfile.Path(tmp_path / "a.zip", "a.json"))


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "x\udfffy"])
def test_text_that_cannot_be_a_name_is_refused(text):
    with pytest.raises(DataError, match="must be Unicode text"):
        json_fields.field({"a": text}, "a", str, "here")
    for valid in ("", "ü", "\U0001f600"):
        assert json_fields.field({"a": valid}, "a", str, "here") == valid


def test_messages_stay_short():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, "x" * 10**6, 10**4000, [0] * 10**6, {str(i): i for i in range(10**5)}):
        assert len(json_fields.shown(value)) < 200
