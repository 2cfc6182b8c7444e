"""A file read from front to back that is never asked for more than it has."""

import os
from typing import BinaryIO

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError


class Source:
    """``read``, ``readline`` and ``tell`` of a file, and ``take`` for arrays.

    A plain ``read`` takes memory for as many bytes as it is asked for before it looks whether they
    are there; a length in a broken file can be anything.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.readline, self.tell = file.readline, file.tell

    def rewind(self) -> None:
        """Goes back to the start."""
        self._file.seek(0)

    def read(self, count: int) -> bytes:
        """Returns fewer bytes only where the file ends."""
        if count > 1:
            count = min(count, self.size - self.tell())
        return self._file.read(count)

    def take(self, count: int) -> np.ndarray:
        """Returns the next ``count`` bytes as uint8."""
        if count > self.size - self.tell():
            raise ContentError("ends early; it is damaged or was not copied completely")
        content = np.empty(count, np.uint8)
        fill(content, self._file)
        return content


def fill(content: np.ndarray, file: BinaryIO) -> None:
    """Reads as many bytes as ``content``, an array of uint8, has room for."""
    chunk, filled = 2**20, 0
    while filled < len(content):
        count = file.readinto(content.data[filled : filled + chunk])  # type: ignore
        if not count:
            raise ContentError("ends early; it is damaged or was not copied completely")
        filled += count
