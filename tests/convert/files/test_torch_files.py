"""Files that torch wrote (``data/make_torch_files.py``)."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.convert.files import read_tensors
from maskrcnn_jax.errors import InputError

DATA = Path(__file__).parent / "data"
WHOLE = np.arange(24, dtype=np.float32)
LAYOUTS = {
    "rows": WHOLE.reshape(4, 6)[1:3],
    "transposed": WHOLE.reshape(2, 3, 4).transpose(2, 0, 1),
    "every_other": WHOLE[1::2],
    "channels_last": WHOLE.reshape(1, 2, 3, 4),
    "scalar": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
    "parameter": np.arange(2, dtype=np.float32),
}


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_every_dtype(layout):
    tensors = read_tensors(DATA / f"dtypes_{layout}.pth").tensors
    assert len(tensors) == 12
    for name, array in tensors.items():
        dtype = np.dtype(jnp.bfloat16 if name == "bfloat16" else name)
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, np.arange(3).astype(dtype))


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_views_parameters_and_shared_storages_among_other_content(layout):
    tensors = read_tensors(DATA / f"layouts_{layout}.pth").tensors
    assert tensors.keys() == LAYOUTS.keys()
    for name, expected in LAYOUTS.items():
        assert tensors[name].dtype == expected.dtype
        np.testing.assert_array_equal(tensors[name], expected)
    assert np.shares_memory(tensors["rows"], tensors["transposed"])


def test_the_prefix_of_data_parallel_is_left_out():
    assert read_tensors(DATA / "data_parallel.pth").tensors.keys() == {"a", "b"}


def test_a_zip_file_without_checksums():
    tensors = read_tensors(DATA / "without_checksums.pth").tensors
    np.testing.assert_array_equal(tensors["weight"], [0, 1, 2])


@pytest.mark.parametrize(
    ("name", "function"),
    [("sparse", "_rebuild_sparse_tensor"), ("quantised", "_rebuild_qtensor")],
)
def test_other_kinds_of_tensors_are_refused_by_name(name, function):
    with pytest.raises(InputError, match=rf"{name}\.pth: refers to 'torch\._utils\.{function}'"):
        read_tensors(DATA / f"{name}.pth")
