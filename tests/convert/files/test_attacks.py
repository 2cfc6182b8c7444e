"""Pickles that want to run code, or to exhaust the machine: refused, with nothing run."""

import io
import os
import pickle

import numpy as np
import pytest

from maskrcnn_jax.convert.files import read_tensors, unpickler
from maskrcnn_jax.convert.files.pickle_writer import call, known, plain, tuple_of
from tests.convert.files.crafted import (
    assert_refused,
    dict_of,
    pickled,
    plain_pickle,
    reference,
    tensor,
    torch_legacy,
    torch_zip,
)

CONTAINERS = [plain_pickle, torch_zip, torch_legacy]


class Reduced:
    """Is unpickled by a call."""

    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec])
def test_attacks_that_pickle_itself_would_run(function, protocol, tmp_path):
    path, marker = tmp_path / "weights.pkl", tmp_path / "was_run"
    code = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w').close()"
    attack = Reduced(function, code)
    content = pickle.dumps({"model": attack} if protocol >= 2 else attack, protocol)
    path.write_bytes(content)
    assert_refused(path, rf"refers to '(posix|builtins|__builtin__)\.{function.__name__}'")
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists()


@pytest.mark.parametrize("write", CONTAINERS)
@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.getattr",
        "builtins.eval",
        "__builtin__.eval",
        "builtins.__import__",
        "builtins.bytearray",
        "operator.attrgetter",
        "functools.partial",
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "numpy.load",
        "numpy.ndarray.tofile",
        "torch.load",
        "torch.storage._load_from_bytes",
        "torch._utils._rebuild_wrapper_subclass",
        "collections.OrderedDict.fromkeys",
    ],
)
def test_names_that_are_not_known_are_refused_wherever_they_stand(write, name, tmp_path):
    good = tensor() if write is not plain_pickle else plain(1)
    for value in (
        call(name, plain("x")),
        dict_of(weight=good, optimizer=dict_of(state=known(name))),
        dict_of(model=dict_of(weight=tensor(storage=call(name, plain("x"))))),
        call("collections.OrderedDict", tuple_of(call(name, plain("x")))),
        known(name) + plain(()) + pickle.NEWOBJ,
        known("collections.OrderedDict") + plain(()) + pickle.REDUCE + known(name) + pickle.BUILD,
    ):
        assert_refused(write(tmp_path / "weights", value), f"refers to '{name}'")


def test_a_name_made_on_the_stack_is_refused(tmp_path):
    value = plain("os") + plain("system") + pickle.STACK_GLOBAL
    assert_refused(plain_pickle(tmp_path / "weights", value), "refers to 'os.system'")
    value = plain(3) + plain("system") + pickle.STACK_GLOBAL
    assert_refused(plain_pickle(tmp_path / "weights", value), "damaged pickle")


def test_a_name_with_an_escape_that_is_none_is_refused(tmp_path):
    assert_refused(plain_pickle(tmp_path / "weights", b"cos\nsy\\(stem\n"), "damaged pickle")


@pytest.mark.parametrize(
    ("name", "instructions"),
    [
        ("INST 'os system'", b"(ios\nsystem\n"),
        ("OBJ", pickle.MARK + known("collections.OrderedDict") + pickle.OBJ),
        ("NEWOBJ_EX", known("collections.OrderedDict") + plain(()) + b"}" + pickle.NEWOBJ_EX),
        ("EXT1 1", pickle.EXT1 + b"\1"),
        ("EXT2 1", pickle.EXT2 + b"\1\0"),
        ("EXT4 1", pickle.EXT4 + b"\1\0\0\0"),
        ("PERSID 'storage'", b"Pstorage\n"),
        ("BINPERSID", reference()),
        ("NEXT_BUFFER", pickle.NEXT_BUFFER),
        ("DUP", plain(1) + pickle.DUP),
        ("POP", plain(1) + pickle.POP),
        ("INT 1", b"I1\n"),
    ],
)
def test_other_instructions_are_refused_by_name(name, instructions, tmp_path):
    path = plain_pickle(tmp_path / "weights", instructions)
    assert_refused(path, f"holds the pickle instruction {name}, which is not one")


@pytest.mark.parametrize("target", [b"}", b"]", plain("x"), plain(None), known("numpy.dtype")])
def test_a_state_is_set_only_where_there_is_one(target, tmp_path):
    value = target + dict_of(__class__=plain("x")) + pickle.BUILD
    assert_refused(plain_pickle(tmp_path / "weights", value), "sets the state of a ")


@pytest.mark.parametrize(
    "function", [plain("os.system"), plain(None), b"}", known("torch.FloatStorage")]
)
def test_only_functions_are_called(function, tmp_path):
    for instruction in (pickle.REDUCE, pickle.NEWOBJ):
        value = function + plain(("x",)) + instruction
        assert_refused(
            plain_pickle(tmp_path / "weights", value), "calls a .*, which is no function"
        )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (reference(kind="module"), "refers to a 'module' outside of the pickle"),
        (plain("storage") + pickle.BINPERSID, "no storage"),
        (plain(("storage", "torch.FloatStorage", "0", "cpu", 6)) + pickle.BINPERSID, "storage"),
        (reference(size=-1), "storage"),
        (reference(size=True), "storage"),
        (reference(size=2**70), "storage"),
    ],
)
@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_references_to_anything_but_storages_are_refused(write, value, message, tmp_path):
    assert_refused(write(tmp_path / "weights", value), message)


@pytest.mark.parametrize(
    "value",
    [
        b"]" * 200_000 + b"a" * 199_999,
        b"K\1" + b"\x85" * 200_000,
        b"}K\1" + b"\x85" * 200_000 + b"K\1s",  # as the key of a dict, which would be hashed
        b"K\1r\xff\xff\xff\xff",  # the memo's largest index
        b"(" * 200_000,
    ],
)
def test_neither_depth_nor_a_huge_index_exhausts_the_machine(value, tmp_path):
    assert_refused(plain_pickle(tmp_path / "weights", value), "no tensors|damaged pickle")


def test_a_pickle_cannot_go_on_for_ever(monkeypatch, tmp_path):
    monkeypatch.setattr(unpickler, "_MAX_INSTRUCTIONS", 1000)
    path = plain_pickle(tmp_path / "weights", b"]" * 1000)
    assert_refused(path, "a pickle of more than 1000 instructions")


def test_a_list_of_items_makes_only_one_dict():
    """A million dicts of the same million items would fill any memory."""
    items = b"](" + b"".join(tuple_of(plain(f"{i}"), plain(i)) for i in range(1000)) + b"e"
    make = known("collections.OrderedDict")
    first = make + items + pickle.BINPUT + b"\0" + pickle.TUPLE1 + pickle.REDUCE
    second = make + pickle.BINGET + b"\0" + pickle.TUPLE1 + pickle.REDUCE
    made = unpickler.unpickle(io.BytesIO(pickled(tuple_of(first, second))))
    assert [len(one) for one in made] == [1000, 0]


@pytest.mark.parametrize(
    ("shape", "strides"), [((10**6, 10**6), (0, 0)), ((7,), (0,)), ((2,) * 30, (0,) * 30)]
)
@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_a_tensor_cannot_repeat_its_storage(write, shape, strides, tmp_path):
    path = write(tmp_path / "weights", dict_of(weight=tensor(shape, strides)))
    assert_refused(path, rf"tensor 'weight' claims {np.prod(shape)} elements, its storage has 6")


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_many_tensors_cannot_repeat_a_storage(write, tmp_path):
    size = 2**18
    one = tensor((size,), (1,), storage=reference(size=size))
    value = dict_of(a=one, b=one)
    path = write(tmp_path / "weights", value, content=bytes(4 * size))
    assert read_tensors(path).tensors.keys() == {"a", "b"}
    value = dict_of(**{f"w{i}": one for i in range(40)})
    path = write(tmp_path / "weights", value, content=bytes(4 * size))
    assert_refused(path, "would expand from 1.* to 41943040 bytes")
