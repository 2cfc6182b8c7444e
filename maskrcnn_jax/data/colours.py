"""Colour jitter: brightness, contrast and saturation of an image, changed at random."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from maskrcnn_jax.errors import InputError

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601, as Pillow has it


@dataclass(frozen=True, kw_only=True)
class ColourJitterConfig:
    """For each, a factor is drawn between 1 - x, but at least 0, and 1 + x (torchvision
    ``ColorJitter``). All 0: no jitter.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < np.inf:
                raise InputError(f"colour.{name} must be at least 0, not {value!r}.")

    def apply(
        self, image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The image with factors drawn for it."""
        if not any(vars(self).values()):
            return image
        factors = [
            rng.uniform(max(0.0, 1 - strength), 1 + strength)
            for strength in (self.brightness, self.contrast, self.saturation)
        ]
        return change_colours(
            image, brightness=factors[0], contrast=factors[1], saturation=factors[2]
        )


def change_colours(
    image: UInt8[np.ndarray, "h w 3"], *, brightness: float, contrast: float, saturation: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Multiplies the differences from black, from the mean grey and from each pixel's own grey.

    In this order, where torchvision draws one; each result is cut to what a pixel can be, and the
    last one is rounded.
    """
    pixels = _stretched(image.astype(np.float32), np.float32(0), brightness)
    pixels = _stretched(pixels, (pixels @ _LUMA).mean(), contrast)
    pixels = _stretched(pixels, (pixels @ _LUMA)[..., None], saturation)
    return np.round(pixels).astype(np.uint8)


def _stretched(
    pixels: Float[np.ndarray, "h w 3"],
    origin: Float[np.ndarray, "*hw"] | np.floating,
    factor: float,
) -> Float[np.ndarray, "h w 3"]:
    if factor == 1:
        return pixels
    return np.clip(origin + np.float32(factor) * (pixels - origin), 0, 255)
