"""Files cut short, changed, or of another kind: an error with the file's name."""

import contextlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_jax.convert.files import read_tensors, write_tensors
from maskrcnn_jax.errors import InputError
from tests.convert.files.crafted import assert_refused

DATA = Path(__file__).parent / "data"
TENSORS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(3)}
KINDS = ["npz", "npz deflated", "pkl", "pth", "pth legacy", "safetensors"]


def good_file(folder, kind):
    if kind == "pth legacy":
        return DATA / "layouts_legacy.pth"
    path = folder / f"good.{kind.split()[0]}"
    if kind == "npz deflated":
        np.savez_compressed(path, **TENSORS)
    else:
        write_tensors(path, TENSORS)
    return path


def test_what_is_no_file(tmp_path):
    assert_refused(tmp_path / "absent.pth", "does not exist")
    assert_refused(tmp_path, "is a folder")
    (tmp_path / "empty.pth").touch()
    assert_refused(tmp_path / "empty.pth", "is empty")


@pytest.mark.parametrize(
    "content",
    [b"version https://git-lfs.github.com/spec/v1\n", b"<html>", b'{"a": 1}', b"\x89HDF\r\n"],
)
def test_another_format_is_refused_with_those_that_are_read(content, tmp_path):
    (tmp_path / "weights.pth").write_bytes(content)
    assert_refused(tmp_path / "weights.pth", "npz, safetensors, torch's .pth, Detectron2's .pkl")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_anywhere(kind, tmp_path):
    content, path = good_file(tmp_path, kind).read_bytes(), tmp_path / "cut"
    path.write_bytes(content)
    assert read_tensors(path).tensors
    for length in [*range(1, len(content), 7), len(content) - 1]:
        path.write_bytes(content[:length])
        assert_refused(path, "cut short|ends early|none of the files|JSON")


@settings(max_examples=150)
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_other_bytes_is_read_or_refused(kind, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("files")
    content, path = bytearray(good_file(folder, kind).read_bytes()), folder / "changed"
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        new = data.draw(st.one_of(st.binary(max_size=4), st.just(b"\xff\xff\xff\xff")))
        content[place : place + data.draw(st.sampled_from([0, 1, len(new)]))] = new
    path.write_bytes(content)
    tensors = {}
    with contextlib.suppress(InputError):
        tensors = read_tensors(path).tensors
    assert all(isinstance(name, str) for name in tensors)
    assert sum(x.nbytes for x in tensors.values()) <= len(content)
    assert not any(x.flags.writeable for x in tensors.values())


@pytest.mark.parametrize("length", [2**20, 2**40, 2**62, 2**64 - 1])
def test_bytes_that_are_not_there_take_no_memory(length, tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"\x80\4" + pickle.BINBYTES8 + struct.pack("<Q", length) + b"x")
    assert_refused(path, "damaged pickle, or is cut short, near byte")
