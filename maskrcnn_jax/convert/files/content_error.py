"""What is wrong with a file's content, and the one limit that all containers share."""

import contextlib
from collections.abc import Iterator

_RATIO = 32
_FREE = 2**24  # bytes; a small file of zeros may well be packed a thousandfold


class ContentError(Exception):
    """The content cannot be read. The message leaves the file's name to ``read_tensors``."""


@contextlib.contextmanager
def about_tensor(name: str) -> Iterator[None]:
    """Names the tensor in errors raised inside, which go on like "has ..."."""
    try:
        yield
    except ContentError as error:
        raise ContentError(f"tensor {name!r:.200} {error}") from error


def check_expansion(num_bytes: int, *, file_size: int) -> None:
    """Refuses tensors of more than 32 times the file's size, unless they stay within 16 MiB.

    Packed or quantised weights expand some six times. Far more is a bomb: deflated zeros, or a
    storage that is named again and again.
    """
    if num_bytes > max(_FREE, _RATIO * file_size):
        raise ContentError(
            f"would expand from {file_size} to {num_bytes} bytes; at most {_RATIO} times the "
            f"file's size is accepted (or {_FREE} bytes)"
        )
