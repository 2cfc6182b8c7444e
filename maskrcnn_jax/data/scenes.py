"""A scene: one image with its objects, between the record it is read from and the batch it joins.

Shapes: n objects, m side of a mask bitmap, h w image size. Augmentations take a scene and return
a scene; boxes may stick out of the image until the scene is packed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from maskrcnn_jax.data.bitmaps import tight_boxes
from maskrcnn_jax.data.images import decode_image
from maskrcnn_jax.data.masks import framed_mask
from maskrcnn_jax.data.records import Annotation, Record
from maskrcnn_jax.data.sizes import Size, Window


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Boxes and frames are XYXY in continuous pixels of ``image``; see ``GroundTruth``."""

    image: UInt8[np.ndarray, "h w 3"]
    boxes: Float[np.ndarray, "n 4"]
    labels: Int[np.ndarray, "n"]
    masks: Bool[np.ndarray, "n m m"]
    mask_frames: Float[np.ndarray, "n 4"]
    semantic_map: UInt8[np.ndarray, "h w"] | None = None  # see ``semantic_maps.py``

    @property
    def size(self) -> Size:
        height, width = self.image.shape[:2]
        return height, width

    def select(self, objects: Int[np.ndarray, "k"]) -> "Scene":
        """The scene with these objects alone, in the order given."""
        return replace(
            self,
            boxes=self.boxes[objects],
            labels=self.labels[objects],
            masks=self.masks[objects],
            mask_frames=self.mask_frames[objects],
        )


def read_scene(record: Record, *, mask_size: int, window: Window | None = None) -> Scene:
    """The scene of a record, in the frame of the original image; crowds are left out.

    With ``window``, the image is that part of it. An object that the window cuts is what is left of
    its mask: it has the box of that, and is left out where nothing is.
    """
    whole = (0, 0, record.width, record.height)
    left, top, right, bottom = window = window or whole
    objects = [a for a in record.annotations if not a.is_crowd]
    masks, frames = _framed_masks(objects, (record.height, record.width), mask_size, window)
    corners = np.array([a.box for a in objects], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    scene = Scene(
        image=read_pixels(record)[top:bottom, left:right],
        boxes=corners - (left, top, left, top),
        labels=np.array([a.label for a in objects], np.int32),
        masks=masks,
        mask_frames=frames,
    )
    return scene if window == whole else _without_what_is_cut(scene)


def read_pixels(record: Record) -> UInt8[np.ndarray, "h w 3"]:
    """The decoded image of a record, which must have the annotated size."""
    size = (record.height, record.width)
    return decode_image(record.image, name=record.file_name, size=size)


def _without_what_is_cut(scene: Scene) -> Scene:
    height, width = scene.size
    limits = (width, height, width, height)
    is_inside = (scene.boxes == np.clip(scene.boxes, 0, limits)).all(-1, keepdims=True)
    rest = tight_boxes(scene.masks, scene.mask_frames)
    scene = replace(scene, boxes=np.where(is_inside, scene.boxes, rest))
    return scene.select(np.flatnonzero(scene.masks.any((1, 2))))


def _framed_masks(
    objects: Sequence[Annotation], image_size: Size, mask_size: int, window: Window
) -> tuple[Bool[np.ndarray, "n m m"], Float[np.ndarray, "n 4"]]:
    masks = np.zeros((len(objects), mask_size, mask_size), bool)
    frames = np.zeros((len(objects), 4))
    for i, annotation in enumerate(objects):
        masks[i], frames[i] = framed_mask(
            annotation.segmentation, image_size=image_size, mask_size=mask_size, window=window
        )
    return masks, frames
