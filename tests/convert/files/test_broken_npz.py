"""Zip files, and the arrays of an npz, that claim what is not so."""

import struct
import zipfile

import numpy as np
import pytest

from maskrcnn_jax.convert.files import read_tensors
from tests.convert.files.crafted import assert_refused, dict_of, tensor, torch_zip


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


def test_sizes_that_reach_beyond_the_entry(tmp_path):
    path = torch_zip(tmp_path / "weights.pth", dict_of(weight=tensor()))
    content = path.read_bytes()
    last = content.rindex(b"PK\1\2")
    compressed, unpacked = slice(last + 20, last + 24), slice(last + 24, last + 28)
    for lies, message in (([unpacked], "two sizes"), ([compressed, unpacked], "overlapping")):
        changed = bytearray(content)
        for place in lies:
            changed[place] = struct.pack("<I", 2**31)
        path.write_bytes(changed)
        assert_refused(path, message)


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
