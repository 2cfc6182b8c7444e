"""What an example shows of an image: which part of it, at which size, mirrored or not.

All geometry of training is decided here and in ``plan.py``, from sizes alone, before any image is
read. A cut is always made in whole pixels of the original image, before it is resized: pixels are
resampled once, and masks are rasterised for what is left of their outlines.

Shapes: n views.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.data.sizes import SIZE_MULTIPLE, Size, Window
from maskrcnn_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class View:
    """``window`` of image ``index``, resized to ``size``, put at the top left of ``canvas``, and
    then mirrored, or not.

    Sizes are (height, width). A canvas is as large as what is on it, or filled up with grey.
    """

    index: int
    window: Window
    size: Size
    canvas: Size
    flip: bool


@dataclass(frozen=True, kw_only=True)
class Views:
    """Many views, as arrays."""

    indices: Int[np.ndarray, "n"]
    windows: Int[np.ndarray, "n 4"]
    sizes: Int[np.ndarray, "n 2"]
    canvases: Int[np.ndarray, "n 2"]
    flips: Bool[np.ndarray, "n"]

    def __getitem__(self, place: int) -> View:
        return View(
            index=int(self.indices[place]),
            window=tuple(self.windows[place].tolist()),
            size=tuple(self.sizes[place].tolist()),
            canvas=tuple(self.canvases[place].tolist()),
            flip=bool(self.flips[place]),
        )


@dataclass(frozen=True, kw_only=True)
class RandomCropConfig:
    """Cuts a rectangle out of the image, before anything else (Detectron2 ``RandomCrop``,
    "relative_range").

    Height and width are drawn independently, from ``min_share`` of the image's to all of it; every
    place within the image is equally likely.
    """

    # Share of the images that are cut; 0 cuts none.
    probability: float = 0.0
    # The least share of the height, and of the width, that is left of an image that is cut.
    min_share: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise InputError(f"crop.probability must be between 0 and 1, not {self.probability!r}.")
        if not 0 < self.min_share <= 1:
            raise InputError(
                f"crop.min_share must be above 0 and at most 1, not {self.min_share!r}."
            )

    def draw(self, sizes: Int[np.ndarray, "n 2"], rng: np.random.Generator) -> np.ndarray:
        """A window [n, 4] of each image."""
        if self.probability == 0:
            return whole_windows(sizes)
        is_cut = rng.random((len(sizes), 1)) < self.probability
        shares = self.min_share + rng.random(sizes.shape) * (1 - self.min_share)
        cut = np.where(is_cut, _shares_of(sizes, shares), sizes)
        return _placed(whole_windows(sizes), cut, rng)

    def smallest_sides(self, sizes: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "n 2"]:
        """The least height and the least width that the window of an image can have."""
        return sizes if self.probability == 0 else _shares_of(sizes, self.min_share)


@dataclass(frozen=True, kw_only=True)
class LargeScaleJitterConfig:
    """Large-scale jitter (Ghiasi et al., 2021; Detectron2 ``ResizeScale`` and ``FixedSizeCrop``).

    The image is resized to fit into ``size`` times a drawn scale. What is then larger than ``size``
    is cut, at a place drawn for each axis; what is smaller lies at the top left of grey, which
    counts as a part of the image. Every image has the same size.
    """

    # The lowest and the highest scale, such as 0.1 2.0. None: no jitter, but short_sides.
    scales: tuple[float, float] | None = None
    size: Size = (1024, 1024)  # (height, width)

    def __post_init__(self) -> None:
        if self.scales is not None and not 0 < self.scales[0] <= self.scales[1] < np.inf:
            raise InputError(
                f"jitter.scales must be two positive numbers, the lower first, not {self.scales!r}."
            )
        if min(self.size) <= 0 or any(side % SIZE_MULTIPLE for side in self.size):
            raise InputError(
                "jitter.size must be a pair (height, width) of positive multiples of "
                f"{SIZE_MULTIPLE}, not {self.size!r}."
            )


def whole_windows(sizes: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "n 4"]:
    """Windows that are the images."""
    return np.concatenate([np.zeros_like(sizes), sizes[:, ::-1]], axis=-1)


def window_sizes(windows: Int[np.ndarray, "n 4"]) -> Int[np.ndarray, "n 2"]:
    """(height, width) of each window, in pixels of the original."""
    return (windows[:, 2:] - windows[:, :2])[:, ::-1]


def jittered(
    windows: Int[np.ndarray, "n 4"],
    *,
    scales: tuple[float, float],
    size: Size,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "n 4"], Int[np.ndarray, "n 2"]]:
    """The parts of the windows that are left, and their sizes; see ``LargeScaleJitterConfig``."""
    drawn = rng.uniform(*scales, size=(len(windows), 1))
    sides = window_sizes(windows)
    zoom = (np.array(size) * drawn / sides).min(-1, keepdims=True)
    sizes = np.maximum(np.round(sides * zoom).astype(np.int32), 1)
    return cut_to_fit(windows, sizes, limits=np.array(size), rng=rng)


def cut_to_fit(
    windows: Int[np.ndarray, "n 4"],
    sizes: Int[np.ndarray, "n 2"],
    *,
    limits: Int[np.ndarray, "*n 2"],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "n 4"], Int[np.ndarray, "n 2"]]:
    """Windows to be resized to ``sizes``, cut where these exceed ``limits`` (height, width).

    Where to cut is drawn. The cut is made in whole pixels of the original: where those are few and
    large, what is left is scaled by a little more or less than asked.
    """
    sides = window_sizes(windows)
    left = np.maximum(np.round(sides * limits / sizes).astype(sides.dtype), 1)
    return (
        _placed(windows, np.where(sizes > limits, left, sides), rng),
        np.minimum(sizes, limits).astype(np.int32),
    )


def _shares_of(
    sizes: Int[np.ndarray, "n 2"], shares: float | Float[np.ndarray, "n 2"]
) -> Int[np.ndarray, "n 2"]:
    return np.maximum((sizes * shares + 0.5).astype(sizes.dtype), 1)


def _placed(
    windows: Int[np.ndarray, "n 4"], sizes: Int[np.ndarray, "n 2"], rng: np.random.Generator
) -> Int[np.ndarray, "n 4"]:
    """Windows of ``sizes`` inside of ``windows``, each possible place equally likely."""
    slack = (window_sizes(windows) - sizes)[:, ::-1]
    low = windows[:, :2] + rng.integers(slack + 1)
    return np.concatenate([low, low + sizes[:, ::-1]], axis=-1)
