"""Images without ground truth, as the network gets to see them: once, or in several views.

An image is sized once, by the config of the input. Its views follow from that: images that share a
padded size share one in every view, so that batches of them stay together.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.examples import filling_example, image_example
from maskrcnn_jax.data.sizes import SIZE_MULTIPLE, Size, fit_sizes, resized_sizes
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.structures import Batch


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Each image is seen at all ``scales``, and with ``flip`` also mirrored at each.

    A scale multiplies ``eval_short_side``, ``long_side`` and ``padded_sizes`` of the input. The
    default is Detectron2's (TEST.AUG): short sides of 400, 500, ... 1200 where it is 800.
    """

    scales: tuple[float, ...] = (0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5)
    flip: bool = True

    def __post_init__(self) -> None:
        if not self.scales or not all(scale > 0 and math.isfinite(scale) for scale in self.scales):
            raise InputError(f"augmentation.scales must be positive numbers, not {self.scales!r}")

    @property
    def flips(self) -> tuple[bool, ...]:
        """Whether each view is mirrored. The first one is not."""
        return ((False, True) if self.flip else (False,)) * len(self.scales)


NO_AUGMENTATION = AugmentationConfig(scales=(1.0,), flip=False)


def fitting_size(image: UInt8[np.ndarray, "h w 3"], config: InputConfig, *, name: str) -> Size:
    """The padded size that an image gets; one that none holds is an error, which has ``name``."""
    _, places = fit_sizes(
        np.array([image.shape[:2]]),
        names=[name],
        short_side=config.eval_short_side,
        long_side=config.long_side,
        padded_sizes=config.padded_sizes,
    )
    return config.padded_sizes[places[0]]


def views(
    image: UInt8[np.ndarray, "h w 3"],
    config: InputConfig,
    augmentation: AugmentationConfig,
    *,
    padded_size: Size,
    index: int,
) -> tuple[Batch, ...]:
    """An example for each view. ``padded_size`` is that of the image without augmentation."""
    found = []
    for scale in augmentation.scales:
        padded = _scaled(padded_size, scale)
        size = resized_sizes(
            np.array(image.shape[:2]),
            short_side=max(1, round(config.eval_short_side * scale)),
            long_side=max(1, round(config.long_side * scale)),
        )
        height, width = np.minimum(size, padded).tolist()  # rounding may exceed it by a pixel
        view = image_example(image, size=(height, width), padded_size=padded, index=index)
        found += [view, mirrored(view)] if augmentation.flip else [view]
    return tuple(found)


def filling_views(padded_size: Size, augmentation: AugmentationConfig) -> tuple[Batch, ...]:
    """``filling_example`` for each view."""
    times = 2 if augmentation.flip else 1
    sizes = [_scaled(padded_size, scale) for scale in augmentation.scales for _ in range(times)]
    return tuple(filling_example(padded_size=size) for size in sizes)


def mirrored(example: Batch) -> Batch:
    """The example with its image mirrored left to right, the padding staying where it is."""
    height, width = np.asarray(example.sizes).tolist()
    images = np.array(example.images)
    images[:height, :width] = images[:height, :width][:, ::-1]
    return replace(example, images=images)


def _scaled(padded_size: Size, scale: float) -> Size:
    height, width = (
        max(1, math.ceil(round(side * scale) / SIZE_MULTIPLE)) * SIZE_MULTIPLE
        for side in padded_size
    )
    return height, width
