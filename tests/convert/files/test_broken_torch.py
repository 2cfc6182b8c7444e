"""torch's files that claim what is not so."""

import numpy as np
import pytest

from maskrcnn_jax.convert.files import read_tensors
from maskrcnn_jax.convert.files.pickle_writer import call, plain
from tests.convert.files.crafted import (
    assert_refused,
    dict_of,
    reference,
    tensor,
    torch_legacy,
    torch_zip,
)


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
