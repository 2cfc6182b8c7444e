"""Masks of pixels as COCO run-length encodings: ``{"size": [h, w], "counts": text}``."""

from typing import Any

import numpy as np
import pycocotools.mask
from jaxtyping import Bool

from maskrcnn_jax.data.sizes import Size

_coco: Any = pycocotools.mask  # its published types do not know text


def encode(mask: Bool[np.ndarray, "h w"]) -> dict:
    """Compressed RLE of a mask of the whole image."""
    rle = _coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")}


def encode_part(part: Bool[np.ndarray, "k l"], *, left: int, top: int, size: Size) -> dict:
    """A mask whose first pixel lies at (left, top) of an image; what lies outside is cut off."""
    mask = np.zeros(size, bool)
    bottom, right = top + part.shape[0], left + part.shape[1]
    inside = part[max(-top, 0) :, max(-left, 0) :]
    target = mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    target[:] = inside[: target.shape[0], : target.shape[1]]
    return encode(mask)
