"""Pieces of pickles, put together by hand: they name things that are not installed here.

Each function returns the instructions that leave one object on the reader's stack.
"""

import pickle
from typing import Any


def plain(value: Any) -> bytes:
    """A text, bytes, a number, None, or a tuple of such."""
    return pickle.dumps(value, protocol=3)[2:-1]  # without a start and a stop of its own


def tuple_of(*items: bytes) -> bytes:
    """A tuple of pieces."""
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def call(name: str, *arguments: bytes) -> bytes:
    """What the function or class of this full name returns."""
    return known(name) + tuple_of(*arguments) + pickle.REDUCE


def known(name: str) -> bytes:
    """The function or class of this full name."""
    module, _, attribute = name.rpartition(".")
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()
