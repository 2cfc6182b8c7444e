"""A scene: one image with its objects, between the record it is read from and the batch it joins.

Shapes: n objects, m side of a mask bitmap, h w image size. Augmentations take a scene and return
a scene; boxes may stick out of the image until the scene is packed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from maskrcnn_jax.data.images import decode_image
from maskrcnn_jax.data.masks import framed_mask
from maskrcnn_jax.data.records import Annotation, Record
from maskrcnn_jax.data.sizes import Size


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Boxes and frames are XYXY in continuous pixels of ``image``; see ``GroundTruth``."""

    image: UInt8[np.ndarray, "h w 3"]
    boxes: Float[np.ndarray, "n 4"]
    labels: Int[np.ndarray, "n"]
    masks: Bool[np.ndarray, "n m m"]
    mask_frames: Float[np.ndarray, "n 4"]

    @property
    def size(self) -> Size:
        height, width = self.image.shape[:2]
        return height, width


def read_scene(record: Record, *, mask_size: int) -> Scene:
    """The scene of a record, in the frame of the original image; crowds are left out."""
    objects = [a for a in record.annotations if not a.is_crowd]
    masks, frames = _framed_masks(objects, (record.height, record.width), mask_size)
    corners = np.array([a.box for a in objects], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return Scene(
        image=read_pixels(record),
        boxes=corners,
        labels=np.array([a.label for a in objects], np.int32),
        masks=masks,
        mask_frames=frames,
    )


def read_pixels(record: Record) -> UInt8[np.ndarray, "h w 3"]:
    """The decoded image of a record, which must have the annotated size."""
    size = (record.height, record.width)
    return decode_image(record.image, name=record.file_name, size=size)


def _framed_masks(
    objects: Sequence[Annotation], image_size: Size, mask_size: int
) -> tuple[Bool[np.ndarray, "n m m"], Float[np.ndarray, "n 4"]]:
    masks = np.zeros((len(objects), mask_size, mask_size), bool)
    frames = np.zeros((len(objects), 4))
    for i, annotation in enumerate(objects):
        masks[i], frames[i] = framed_mask(
            annotation.segmentation, image_size=image_size, mask_size=mask_size
        )
    return masks, frames
