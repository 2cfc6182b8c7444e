import json
import tracemalloc
import zipfile

import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from maskrcnn_jax.convert.files import read_tensors, write_tensors
from maskrcnn_jax.errors import InputError

SUFFIXES = [".npz", ".pkl", ".pth", ".safetensors"]
COMMON = "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64"
DTYPES = {
    ".npz": f"{COMMON} uint16 uint32 uint64 complex128".split(),
    ".pkl": f"{COMMON} uint16 uint32 uint64 complex128".split(),
    ".pth": f"{COMMON} bfloat16 complex128".split(),
    ".safetensors": f"{COMMON} uint16 uint32 uint64 bfloat16".split(),
}


@st.composite
def arrays(draw, suffix):
    """Any bit pattern, NaN included, in any order of the axes."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES[suffix])))
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    axes = draw(st.permutations(range(len(shape))))
    noise = np.random.default_rng(draw(st.integers(0, 1000)))
    if dtype.kind == "b":
        return noise.random(shape).transpose(axes) < 0.5
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(noise.bytes(size), dtype).reshape(shape).transpose(axes)


def names():
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    reserved = ("module.", "__metadata__")
    return st.text(characters, min_size=1, max_size=20).filter(lambda s: not s.startswith(reserved))


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        assert actual[name].shape == array.shape
        assert actual[name].tobytes() == array.tobytes()


def some_tensors():
    return {
        "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "norm.num_batches_tracked": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.float32),
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(st.data())
def test_what_is_written_is_read(suffix, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("files") / f"weights{suffix}"
    tensors = data.draw(st.dictionaries(names(), arrays(suffix), min_size=1, max_size=4))
    write_tensors(path, tensors)
    assert_same(read_tensors(path).tensors, tensors)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_name_of_the_file_says_nothing_when_it_is_read(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    write_tensors(path, some_tensors())
    assert_same(read_tensors(path.rename(tmp_path / "weights.txt")).tensors, some_tensors())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_tensors_give_the_same_bytes(suffix, tmp_path):
    metadata = {name: name for name in "zyxwvu"}
    fortran = {name: np.asfortranarray(array) for name, array in some_tensors().items()}
    fortran["norm.num_batches_tracked"] = np.array(7)  # asfortranarray gives scalars an axis
    for name, tensors in {"one": some_tensors(), "two": fortran}.items():
        write_tensors(tmp_path / f"{name}{suffix}", tensors, metadata=metadata)
    one, two = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    if zipfile.is_zipfile(one):
        with zipfile.ZipFile(one) as archive:
            assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_what_is_mapped_into_memory_is_aligned(tmp_path):
    tensors = {"a": np.ones(3, bool), "b": np.ones(5, np.float16), "c": np.ones(3)}
    write_tensors(tmp_path / "weights.pth", tensors)
    with zipfile.ZipFile(tmp_path / "weights.pth") as archive:
        storages = [entry for entry in archive.infolist() if "/data/" in entry.filename]
    assert len(storages) == 3
    for entry in storages:
        begin = entry.header_offset + 30 + len(entry.filename) + len(entry.extra)
        assert begin % 64 == 0
    write_tensors(tmp_path / "weights.safetensors", tensors)
    content = (tmp_path / "weights.safetensors").read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    for name, specification in json.loads(content[8:begin]).items():
        assert (begin + specification["data_offsets"][0]) % tensors[name].itemsize == 0


@pytest.mark.parametrize(
    ("suffix", "kept"), [(".npz", True), (".safetensors", True), (".pth", False), (".pkl", False)]
)
def test_metadata_travel_where_there_is_a_place_for_them(suffix, kept, tmp_path):
    path, metadata = tmp_path / f"weights{suffix}", {"system": "détéctron", "empty": ""}
    write_tensors(path, some_tensors(), metadata=metadata)
    content = read_tensors(path)
    assert content.metadata == (metadata if kept else {})
    assert_same(content.tensors, some_tensors())
    write_tensors(path, some_tensors())
    assert read_tensors(path).metadata == {}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_arrays_cannot_be_written_to(suffix, tmp_path):
    """They may share memory."""
    write_tensors(tmp_path / f"weights{suffix}", some_tensors())
    for array in read_tensors(tmp_path / f"weights{suffix}").tensors.values():
        assert not array.flags.writeable


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_prefix_of_data_parallel_goes_only_if_all_have_it(suffix, tmp_path):
    path, ones = tmp_path / f"weights{suffix}", np.ones(2, np.float32)
    write_tensors(path, {"module.a": ones, "module.b.module.c": ones})
    assert read_tensors(path).tensors.keys() == {"a", "b.module.c"}
    write_tensors(path, {"module.a": ones, "b": ones})
    assert read_tensors(path).tensors.keys() == {"module.a", "b"}


def test_numpy_reads_our_npz_and_we_read_numpys(tmp_path):
    path, tensors = tmp_path / "weights.npz", some_tensors()
    write_tensors(path, tensors, metadata={"a": "b"})
    with np.load(path) as file:
        assert file["__metadata__"].item() == '{"a":"b"}'
        assert_same({name: file[name] for name in file.files if name != "__metadata__"}, tensors)
    for save in (np.savez, np.savez_compressed):
        tensors["fortran"] = np.asfortranarray(tensors["conv.weight"])
        save(path, **tensors)
        assert_same(read_tensors(path).tensors, tensors)


def test_folded_imagenet_weights(shared):
    """They are deflated to a sixth."""
    path = shared / "weights/resnet50_imagenet_folded.npz"
    with np.load(path) as expected:
        assert_same(read_tensors(path).tensors, dict(expected))


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".npz", jnp.bfloat16),
        (".pkl", jnp.bfloat16),
        (".pth", np.uint16),
        (".safetensors", np.complex128),
        *((suffix, dtype) for suffix in SUFFIXES for dtype in (object, "U3", ">f4", "f4,f4")),
    ],
)
def test_a_type_that_the_container_does_not_have_is_refused(suffix, dtype, tmp_path):
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(InputError, match=rf"weights\{suffix}: tensor 'wrong' .*\{suffix}"):
        write_tensors(path, {"right": np.zeros(2), "wrong": np.zeros(2, dtype)})
    assert not path.exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "__metadata__"])
def test_a_name_that_no_container_can_keep_is_refused(suffix, name, tmp_path):
    with pytest.raises(InputError, match="cannot have the name"):
        write_tensors(tmp_path / f"weights{suffix}", {name: np.zeros(2)})


def test_another_suffix_is_refused_with_the_four(tmp_path):
    with pytest.raises(InputError, match=r"weights\.h5: .*\.npz, \.pkl, \.pth, \.safetensors"):
        write_tensors(tmp_path / "weights.h5", some_tensors())


def test_nothing_is_not_written(tmp_path):
    with pytest.raises(InputError, match="no tensors"):
        write_tensors(tmp_path / "weights.npz", {})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_large_file_is_in_memory_once(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    tensors = {f"w{i}": np.full((500, 1000), i, np.float32).T for i in range(10)}  # 20 MB
    tracemalloc.start()
    write_tensors(path, tensors)
    _, written = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    content = read_tensors(path)
    _, read = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written < 5e6  # one tensor, brought into C order, and little else
    assert read < 22e6
    np.testing.assert_array_equal(content.tensors["w9"], tensors["w9"])
