"""Headers of safetensors that claim what is not so."""

import json
import struct

import pytest

from tests.convert.files.crafted import assert_refused


def safetensors(path, header, content=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


def specified(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"w": specified(shape=(3,))}, "data_offsets that do not fit its shape"),
        ({"w": specified(shape=(-2,))}, "not a tuple of counts"),
        ({"w": specified(shape=(2**61, 2**61))}, "too large"),
        ({"w": specified(shape=(1,) * 40)}, "not a tuple of counts"),
        ({"w": specified(offsets=(8, 0))}, "data_offsets"),
        ({"w": specified(offsets=(-8, 0))}, "data_offsets"),
        ({"w": specified(offsets=(0.0, 8.0))}, "data_offsets"),
        ({"w": specified(offsets=(4, 12))}, "does not begin where"),
        ({"w": specified(), "v": specified()}, "does not begin where"),
        ({"w": specified(shape=(1,), offsets=(0, 4))}, "belongs to no tensor"),
        ({"w": specified(shape=(4,), offsets=(0, 16))}, "ends early"),
        ({"w": specified("F8_E4M3", (8,))}, "'F8_E4M3'; known are BOOL"),
        ({"w": specified("O", (1,))}, "'O'; known are BOOL"),
        ({"w": {"dtype": "F32"}}, "no dtype, shape and data_offsets"),
        ({"w": 3}, "no dtype, shape and data_offsets"),
        ({"w": specified(), "__metadata__": {"a": 1}}, "metadata"),
        ({"w": specified(), "__metadata__": "a"}, "metadata"),
        (b'{"w": 1, "w": 2}', "a name occurs twice"),
        (b'{"w": ' + b"[" * 100_000, "too deep|JSON"),
        (b'{"w": ' + b"9" * 10_000 + b"}", "JSON"),
        (b'{"\xff": 1}', "JSON"),
    ],
)
def test_a_header_of_safetensors_that_does_not_hold(header, message, tmp_path):
    assert_refused(safetensors(tmp_path / "weights.safetensors", header), message)


def test_no_header_is_too_long(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", 2**31) + b"{")
    assert_refused(path, "header of 2147483648 bytes")
    assert_refused(safetensors(path, {}, b""), "no tensors")
