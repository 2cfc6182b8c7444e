"""At which size images are best seen, from their own sizes and those of their objects.

Shapes: n images, m objects.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from maskrcnn_jax.data.sizes import SIZE_MULTIPLE, Size

# What COCO calls small, and all detectors find worst: objects below 32 x 32 pixels.
_SMALL = 32
# Enlarging adds work, but no detail.
_MOST_ENLARGED = 2.0
# Below the first, the coarsest level (stride 64) has hardly any cells. The second, and a length
# of 1333, is what the detectors were trained at that weights come from.
_LEAST_SIDE, _MOST_SIDE = 256, 800
_MOST_LENGTH = 1333 / 800
# So large a share of the images is not made smaller for being long; for the longest ones, all
# others would be padded.
_SHARE_HELD = 0.95
# Detectron2 draws from 640 to 800 in place of 800.
_SCALES = (0.8, 0.84, 0.88, 0.92, 0.96, 1.0)
# The smallest anchors (32 x 32) overlap smaller objects by less than .3, as they do background.
_HARDLY_FOUND = 16


@dataclass(frozen=True, kw_only=True)
class ImageSizes:
    """The first four are fields of ``InputConfig``.

    ``share_longer`` of the images come to exceed ``long_side`` and are made smaller. Half of the
    images have a short side below ``own_side``, and half of the objects are smaller than a square
    of ``object_side`` when the short side is ``eval_short_side``.
    """

    short_sides: tuple[int, ...]
    eval_short_side: int
    long_side: int
    padded_sizes: tuple[Size, ...]
    share_longer: float
    own_side: float
    object_side: float

    def reasons(self) -> dict[str, str]:
        """Of each option, why it is as it is."""
        change = self.eval_short_side / self.own_side
        size = "about the size that the images have"
        if change > 1.1:
            size = f"the images {change:.1f} times as large, for their objects"
            size = size if self.eval_short_side > _LEAST_SIDE else "the least that is sensible"
        elif change < 0.9:
            size = f"the images {change:.2f} times as large, as detectors are trained"
        return {
            "input.short_sides": f"{size}; half of the objects are then above "
            f"{self.object_side:.0f} pixels",
            "input.eval_short_side": "the largest of these",
            "input.long_side": f"{self.share_longer:.0%} of the images are longer: made smaller",
            "input.padded_sizes": "images that lie and images that stand",
        }

    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the data."""
        if self.object_side >= _HARDLY_FOUND:
            return ()
        return (
            f"at a short side of {self.eval_short_side}, half of the objects are smaller than "
            f"{self.object_side:.0f} x {self.object_side:.0f} pixels and will hardly be found: cut "
            "the images into tiles, or give a larger --input.short-sides",
        )


def sizes_for(
    originals: Int[np.ndarray, "n 2"],
    object_sides: Float[np.ndarray, "m"],
    *,
    short_sides: tuple[int, ...] | None = None,
) -> ImageSizes:
    """What suits images of (height, width) with objects as large as squares of these sides.

    If ``short_sides`` are given, the rest follows from them. Images of other data fit as well: the
    long side is limited.
    """
    own_side = float(np.median(originals.min(-1)))
    own_object = float(np.median(object_sides))
    if not short_sides:
        side = _natural_side(own_side, own_object)
        short_sides = tuple(round(side * scale) for scale in _SCALES)
    side = max(short_sides)
    lengths = side * originals.max(-1) / originals.min(-1)
    most = min(float(np.quantile(lengths, _SHARE_HELD)), side * _MOST_LENGTH)
    short, long = _rounded_up(side), _rounded_up(most)
    return ImageSizes(
        short_sides=short_sides,
        eval_short_side=side,
        long_side=long,
        padded_sizes=tuple(dict.fromkeys([(short, long), (long, short)])),
        share_longer=float((lengths > long).mean()),
        own_side=own_side,
        object_side=own_object * side / own_side,
    )


def _natural_side(own_side: float, own_object: float) -> int:
    """The images' own, or larger where most objects are small."""
    enlarged = own_side * min(max(_SMALL / own_object, 1.0), _MOST_ENLARGED)
    nearest = int(enlarged / SIZE_MULTIPLE + 0.5) * SIZE_MULTIPLE
    return min(max(nearest, _LEAST_SIDE), _MOST_SIDE)


def _rounded_up(side: float) -> int:
    return -int(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE
