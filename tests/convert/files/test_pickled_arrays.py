"""Detectron2's pickles: numpy arrays as every Python and numpy has written them."""

import pickle
import struct

import numpy as np
import pytest

from maskrcnn_jax.convert.files import read_tensors, write_tensors
from maskrcnn_jax.convert.files.pickle_writer import call, known, plain, tuple_of
from maskrcnn_jax.errors import InputError
from tests.convert.files.crafted import dict_of, plain_pickle, torch_zip

ARRAYS = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
    "count": np.array(7),
    "scalar": np.float64(0.5),
    "empty": np.zeros((0, 3), np.uint8),
    "bool": np.array([True, False]),
}


def assert_arrays(tensors):
    assert tensors.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert tensors[name].dtype == array.dtype
        assert tensors[name].shape == array.shape
        np.testing.assert_array_equal(tensors[name], array)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_of_every_protocol(protocol, tmp_path):
    content = {"model": ARRAYS, "__author__": "Detectron2", "matching_heuristics": True}
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content, protocol))
    assert_arrays(read_tensors(tmp_path / "weights.pkl").tensors)


def test_names_of_numpy_1(tmp_path):
    content = pickle.dumps({"model": ARRAYS}, 3)
    assert b"numpy._core" in content
    (tmp_path / "weights.pkl").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    assert_arrays(read_tensors(tmp_path / "weights.pkl").tensors)


def test_strings_of_python_2(tmp_path):
    """Names and content are both ``str``, and an OrderedDict comes as a list of lists."""

    def text(content):
        return pickle.BINSTRING + struct.pack("<i", len(content)) + content

    array = np.arange(200, 206, dtype=np.uint8).reshape(2, 3)
    empty = call(
        "numpy.core.multiarray._reconstruct", known("numpy.ndarray"), plain((0,)), text(b"b")
    )
    state = tuple_of(plain(3), text(b"|"), *map(plain, [None, None, None, -1, -1, 0]))
    dtype = call("numpy.dtype", text(b"u1"), plain(0), plain(1)) + state + pickle.BUILD
    content = tuple_of(plain(1), plain((2, 3)), dtype, plain(False), text(array.tobytes()))
    item = b"](" + text(b"weight") + empty + content + pickle.BUILD + b"e"
    tensors = call("collections.OrderedDict", b"](" + item + b"e")
    value = b"}" + text(b"model") + tensors + pickle.SETITEM
    read = read_tensors(plain_pickle(tmp_path / "weights.pkl", value)).tensors
    np.testing.assert_array_equal(read["weight"], array)


def test_pickle_itself_reads_what_is_written(tmp_path):
    path = tmp_path / "weights.pkl"
    write_tensors(path, {name: np.asarray(array) for name, array in ARRAYS.items()})
    assert b"numpy.core.multiarray" in path.read_bytes()
    content = pickle.loads(path.read_bytes())
    assert content.keys() == {"model", "__author__"}
    assert_arrays(content["model"])


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state", None])
def test_the_places_of_the_tensors(key, tmp_path):
    content = {"iteration": 3, "optimizer": {"momentum": np.ones(3)}, "lr": [0.1, {}]}
    content |= ARRAYS if key is None else {key: ARRAYS}
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content))
    assert_arrays(read_tensors(tmp_path / "weights.pkl").tensors)


def test_a_place_without_tensors_is_passed_over(tmp_path):
    content = {"model": "mask_rcnn", "state_dict": {"a": 1}, "model_state": ARRAYS}
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content))
    assert_arrays(read_tensors(tmp_path / "weights.pkl").tensors)


@pytest.mark.parametrize(
    "content", [{}, {"model": {}}, [ARRAYS], 3, {"a": {"b": np.ones(2)}}, {1: np.ones(2)}]
)
def test_a_pickle_without_tensors_is_refused(content, tmp_path):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"weights\.pkl: holds no tensors"):
        read_tensors(tmp_path / "weights.pkl")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1, "x"], object), "Python objects"),
        (np.zeros(2, ">f4"), "big-endian"),
        (np.zeros(2, "U3"), "'<U3'"),
        (np.zeros(2, "f4,f4"), "'|V8'"),
        (np.zeros(2, "M8[s]"), "'<M8'"),
        (np.zeros(2, np.longdouble), "'<f16'"),
    ],
)
def test_arrays_of_other_types_are_refused(array, message, tmp_path):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"weight": array}))
    with pytest.raises(InputError, match="tensor 'weight' .*" + message.replace("|", r"\|")):
        read_tensors(tmp_path / "weights.pkl")


def array_of(shape=(2,), dtype="f4", order="<", content=bytes(8)):
    """Instructions for an array."""
    empty = call("numpy.core.multiarray._reconstruct", known("numpy.ndarray"))
    state = plain((3, order)) + pickle.BUILD
    dtype = call("numpy.dtype", plain(dtype)) + state
    return (
        empty + tuple_of(plain(1), plain(shape), dtype, plain(False), plain(content)) + pickle.BUILD
    )


def test_arrays_in_a_torch_file(tmp_path):
    path = torch_zip(tmp_path / "weights.pth", dict_of(weight=array_of(content=b"\0\0\x80?" * 2)))
    np.testing.assert_array_equal(read_tensors(path).tensors["weight"], [1, 1])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (array_of((3,)), "claims 12 bytes, its content has 8"),
        (array_of((1,)), "claims 4 bytes, its content has 8"),
        (array_of((-2,)), "not a tuple of counts"),
        (array_of(2), "not a tuple of counts"),
        (array_of(("2",)), "not a tuple of counts"),
        (array_of((True, 2)), "not a tuple of counts"),
        (array_of((2**80,)), "not a tuple of counts"),
        (array_of((1,) * 40 + (2,)), "not a tuple of counts"),
        (array_of((2**61, 2**61, 0)), "too large"),
        (array_of(dtype="zz"), "'<zz'"),
        (array_of(dtype="f4, f4"), "'<f4, f4'"),
        (array_of(dtype=4), "without a dtype"),
        (array_of(order=None), "without a byte order"),
        (array_of(order="="), "'=f4'"),
        (array_of(content=None), "without content"),
        (array_of(content="é\u0100" * 4), "text"),
        (call("numpy.core.multiarray._reconstruct"), "not a tuple of counts|without a dtype"),
    ],
)
def test_arrays_that_are_not_what_they_claim_are_refused(array, message, tmp_path):
    path = plain_pickle(tmp_path / "weights.pkl", dict_of(weight=array))
    with pytest.raises(InputError, match=rf"weights\.pkl: tensor 'weight' .*{message}"):
        read_tensors(path)
