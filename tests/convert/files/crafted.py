"""Files with any content, as an attacker or a broken disk would make them."""

import pickle
import zipfile

import pytest

from maskrcnn_jax.convert.files import read_tensors
from maskrcnn_jax.convert.files.pickle_writer import call, known, plain, tuple_of
from maskrcnn_jax.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C


def pickled(value, *, protocol=2):
    """A pickle whose one value is made by these instructions."""
    return pickle.PROTO + bytes([protocol]) + value + pickle.STOP


def dict_of(**items):
    """Instructions for a dict; a value is made of instructions, too."""
    pairs = [plain(name) + value for name, value in items.items()]
    return pickle.EMPTY_DICT + pickle.MARK + b"".join(pairs) + pickle.SETITEMS


def reference(*view, key="0", size=6, kind="storage", storage_class="torch.FloatStorage"):
    """Instructions for a storage: six floats, unless said otherwise."""
    parts = [plain(kind), known(storage_class), plain(key), plain("cpu"), plain(size), *view]
    return tuple_of(*parts) + pickle.BINPERSID


def tensor(shape=(2, 3), strides=(3, 1), offset=0, *, storage=None):
    """Instructions for a tensor."""
    storage = reference() if storage is None else storage
    arguments = [storage, plain(offset), plain(shape), plain(strides), plain(False)]
    return call("torch._utils._rebuild_tensor_v2", *arguments, call("collections.OrderedDict"))


def torch_zip(path, value, *, content=bytes(24), byteorder=b"little", packed=()):
    """One storage, "0", beside the pickle."""
    entries = {"data.pkl": pickled(value), "byteorder": byteorder, "data/0": content}
    with zipfile.ZipFile(path, "w") as archive:
        for name, entry in entries.items():
            packing = zipfile.ZIP_DEFLATED if name in packed else zipfile.ZIP_STORED
            archive.writestr(f"weights/{name}", entry, packing)
    return path


def torch_legacy(path, value, *, content=bytes(24), size=None, keys=("0",), little_endian=True):
    """The storages of ``keys`` behind the pickle, all with the same content."""
    system = {"protocol_version": 1001, "little_endian": little_endian}
    start = [pickle.dumps(part, 2) for part in (MAGIC, 1001, system)]
    size = len(content) // 4 if size is None else size
    storages = [size.to_bytes(8, "little", signed=True) + content for _ in keys]
    path.write_bytes(b"".join([*start, pickled(value), pickle.dumps(list(keys), 2), *storages]))
    return path


def plain_pickle(path, value):
    """The pickle alone."""
    path.write_bytes(pickled(value))
    return path


def assert_refused(path, message):
    """The file cannot be read, and the error names it and says this."""
    with pytest.raises(InputError, match=message) as raised:
        read_tensors(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value)) < 1000
