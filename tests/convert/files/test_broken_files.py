"""Files cut short, changed, or claiming what is not so: an error with the file's name."""

import contextlib
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_jax.convert.files import read_tensors, write_tensors
from maskrcnn_jax.convert.files.pickle_writer import call, plain
from maskrcnn_jax.errors import InputError
from tests.convert.files.crafted import dict_of, reference, tensor, torch_legacy, torch_zip

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


def assert_refused(path, message):
    with pytest.raises(InputError, match=message) as raised:
        read_tensors(path)
    assert str(raised.value).startswith(f"{path}: ")


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
    with contextlib.suppress(InputError):
        read_tensors(path)


# torch


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tensor((2, 4), (4, 1)), "claims 8 elements, its storage has 6"),
        (tensor((2, 3), (4, 1)), "reaches beyond the 6 elements"),
        (tensor((2, 3), (3, 1), 1), "reaches beyond the 6 elements"),
        (tensor((1,), (1,), 6), "reaches beyond the 6 elements"),
        (tensor((-1,), (1,)), "not a tuple of counts"),
        (tensor((2,), (-1,), 1), "no counts"),
        (tensor((2,), (1,), -1), "no counts"),
        (tensor((2,), (1,), 0.0), "no counts"),
        (tensor((2,), (3, 1)), "not one stride for each axis"),
        (tensor((2**40, 2**40), (0, 0)), "too large"),
        (tensor(("2",), (1,)), "not a tuple of counts"),
        (tensor(storage=plain("0")), "has no storage"),
        (tensor((0,), (1,), -1), "no counts"),
        (tensor((0, 2**62), (1, 1)), "not a tuple of counts"),
    ],
)
def test_a_tensor_that_does_not_lie_in_its_storage(write, value, message, tmp_path):
    path = write(tmp_path / "weights.pth", dict_of(good=tensor(), weight=value))
    assert_refused(path, f"tensor 'weight' .*{message}")


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_a_view_of_a_storage(write, tmp_path):
    content = np.arange(6, dtype="<f4").tobytes()

    def path_with(view):
        value = tensor((2,), (2,), 1, storage=reference(plain(view)))
        return write(tmp_path / "weights.pth", dict_of(weight=value), content=content)

    tensors = read_tensors(path_with(("view", 2, 4))).tensors
    np.testing.assert_array_equal(tensors["weight"], [3, 5])
    assert_refused(path_with(("view", 2, 3)), "reaches beyond the 3 elements")
    for view in [("view", 3, 4), ("view", -1, 4), ("view", 0, True), "view", ("view",)]:
        assert_refused(path_with(view), "a view that does not lie in the storage '0'")


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_a_storage_that_is_not_what_the_pickle_claims(write, tmp_path):
    path, value = tmp_path / "weights.pth", dict_of(weight=tensor())
    assert read_tensors(write(path, value)).tensors["weight"].shape == (2, 3)
    assert_refused(write(path, value, content=bytes(20)), "claims|ends early")
    assert_refused(write(path, value, content=bytes(28)), "claims")
    missing = dict_of(weight=tensor(storage=reference(key="1")))
    assert_refused(write(path, missing), "has no storage '1'|belongs to no tensor")
    huge = dict_of(weight=tensor(storage=reference(size=2**50)))
    assert_refused(write(path, huge), "claims")
    other = tensor(storage=reference(storage_class="torch.IntStorage"))
    assert_refused(write(path, dict_of(weight=tensor(), other=other)), "'0' in two ways")


def test_a_tensor_that_torch_has_not_computed_is_refused(tmp_path):
    arguments = [reference(), *map(plain, (0, (6,), (1,), False, None))]
    for flags, refused in ((dict_of(), False), (dict_of(conj=plain(True)), True)):
        value = call("torch._utils._rebuild_tensor_v2", *arguments, flags)
        path = torch_zip(tmp_path / "weights.pth", dict_of(weight=value))
        if refused:
            assert_refused(path, "marked as conjugate or negative")
        else:
            assert read_tensors(path).tensors["weight"].shape == (6,)


def test_lying_counts_of_the_old_layout(tmp_path):
    path, value = tmp_path / "weights.pth", dict_of(weight=tensor())
    for size in (-1, 5, 7, 2**62):
        assert_refused(torch_legacy(path, value, size=size), f"of {size} elements")
    assert_refused(torch_legacy(path, value, keys=()), "has no storage '0'")
    assert_refused(torch_legacy(path, value, keys=("0", "0")), "twice")
    huge = dict_of(weight=tensor(storage=reference(size=2**50)))
    assert_refused(torch_legacy(path, huge, size=2**50), "ends early")


def test_other_storages_are_refused_by_name(tmp_path):
    value = dict_of(weight=tensor(storage=reference(storage_class="torch.QInt8Storage")))
    assert_refused(torch_zip(tmp_path / "weights.pth", value), "refers to 'torch.QInt8Storage'")


def test_big_endian_files_are_refused_by_name(tmp_path):
    path, value = tmp_path / "weights.pth", dict_of(weight=tensor())
    assert_refused(torch_zip(path, value, byteorder=b"big"), "big-endian")
    assert_refused(torch_legacy(path, value, little_endian=False), "big-endian")


@pytest.mark.parametrize("packed", ["data.pkl", "data/0", "byteorder"])
def test_a_packed_entry_of_a_torch_file_is_refused(packed, tmp_path):
    path = torch_zip(tmp_path / "weights.pth", dict_of(weight=tensor()), packed=[packed])
    assert_refused(path, f"packed entry 'weights/{packed}'")


# zip files


def npy(header, content=b""):
    text = header if isinstance(header, bytes) else repr(header).encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + content


def test_a_directory_that_lies_before_the_file(tmp_path):
    """The large form of a zip file has room for positions that no file can have."""
    path = tmp_path / "weights.npz"
    large_end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**64 - 1, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 4, 1)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(b"PK\3\4" + large_end + locator + end)
    assert_refused(path, "damaged zip file|cannot be read")


def npz(path, entry, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("weight.npy", entry)
    return path


def described(descr="<f4", *, shape=(2,), fortran_order=False, **more):
    return {"descr": descr, "fortran_order": fortran_order, "shape": shape, **more}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (npy(described(), bytes(4)), "claims 8 bytes, its entry has 4"),
        (npy(described(), bytes(12)), "claims 8 bytes, its entry has 12"),
        (npy(described(shape=(10**6, 10**6)), bytes(8)), "claims 4000000000000 bytes"),
        (npy(described(shape=(-2,)), bytes(8)), "not a tuple of counts"),
        (npy(described(shape=[2]), bytes(8)), "not a tuple of counts"),
        (npy(described("|O"), bytes(8)), "Python objects"),
        (npy(described(">f4"), bytes(8)), "big-endian"),
        (npy(described("<f5"), bytes(8)), "'<f5'; known are"),
        (npy(described([("a", "<f4")]), bytes(8)), "structured"),
        (npy(described(more=1), bytes(8)), "no description"),
        (npy([1]), "no description"),
        (npy(b"__import__('os').system('x')"), "no description"),
        (npy(b"(" * 900), "no description"),
        (npy(b"-" * 900 + b"1"), "no description"),
        (npy(b"'\\d'"), "no description"),
        (npy(b" " * 2000), "header that is too long"),
        (b"\x93NUMPY\1\0\xff\xff", "not in numpy's format"),
        (b"garbage that is no array", "not in numpy's format"),
    ],
)
def test_an_array_that_is_not_what_its_header_claims(entry, message, tmp_path):
    assert_refused(npz(tmp_path / "weights.npz", entry), f"tensor 'weight' .*{message}")


@pytest.mark.parametrize("size", [2**25, 2**33])
def test_a_zip_bomb(size, tmp_path):
    path = tmp_path / "weights.npz"
    entry = npy(described(shape=(2**25,)), bytes(2**25 * 4) if size == 2**25 else b"")
    npz(path, entry, compression=zipfile.ZIP_DEFLATED)
    if size == 2**33:  # a lie in the directory
        content = bytearray(path.read_bytes())
        directory = content.index(b"PK\1\2")
        content[directory + 24 : directory + 28] = b"\xfe\xff\xff\xff"
        path.write_bytes(content)
    assert path.stat().st_size < 2**20
    assert_refused(path, r"would expand from \d+ to \d+ bytes; at most 32 times")


def test_zeros_of_a_small_file_may_be_packed_a_thousandfold(tmp_path):
    np.savez_compressed(tmp_path / "weights.npz", weight=np.zeros(2**20, np.float32))
    assert not read_tensors(tmp_path / "weights.npz").tensors["weight"].any()


@pytest.mark.parametrize("claimed", [8, 4000])
def test_an_entry_that_unpacks_to_another_size(claimed, tmp_path):
    path = npz(tmp_path / "weights.npz", npy(described()), compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\1\2")
    content[directory + 24 : directory + 28] = struct.pack("<I", claimed)
    path.write_bytes(content)
    assert_refused(path, "not in numpy's format|ends early|damaged")


def test_entries_that_lie_in_each_other(tmp_path):
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in "abc":
            archive.writestr(f"{name}.npy", npy(described(), bytes(8)))
        for entry in archive.filelist:
            entry.header_offset = 0
    assert_refused(path, "overlapping entries")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(tmp_path):
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for _ in range(2):
            archive.writestr("a.npy", npy(described(), bytes(8)))
    assert_refused(path, "two entries 'a.npy'")


def test_zip_files_of_something_else(tmp_path):
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "text")
    assert_refused(path, "not torch's and no npz: 'readme.txt'")
    npz(path, npy(described(), bytes(8)), compression=zipfile.ZIP_BZIP2)
    assert_refused(path, "unknown compression")
    np.savez(path)
    assert_refused(path, "no tensors")


def test_changed_content_is_found_by_its_checksum(tmp_path):
    path = npz(tmp_path / "weights.npz", npy(described(), b"\1" * 8))
    path.write_bytes(path.read_bytes().replace(b"\1" * 8, b"\1" * 7 + b"\2"))
    assert_refused(path, "damaged zip file.*CRC")


@pytest.mark.parametrize("text", ["[1]", '{"a": 1}', '{"a"', '{"a": "1", "a": "2"}'])
def test_metadata_that_are_no_texts_by_name(text, tmp_path):
    np.savez(tmp_path / "weights.npz", weight=np.ones(2), __metadata__=np.array(text))
    assert_refused(tmp_path / "weights.npz", "metadata|JSON")


# safetensors


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
