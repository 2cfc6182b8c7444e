"""Augmentations: functions from a scene to a scene, without randomness of their own.

What was drawn comes in as an argument, so that an example depends on nothing but its record and
its entry in the plan.
"""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float

from maskrcnn_jax.data.images import resize_image
from maskrcnn_jax.data.scenes import Scene
from maskrcnn_jax.data.semantic_maps import pad_map, resize_map
from maskrcnn_jax.data.sizes import Size

_GREY = 128  # Detectron2 FixedSizeCrop; close to the mean pixel


def resize(scene: Scene, size: Size) -> Scene:
    """The scene at (height, width); the two axes may be scaled differently.

    The bitmaps stay as they are: only the frames that they cover move.
    """
    scale = np.array([size[1] / scene.size[1], size[0] / scene.size[0]] * 2)
    return replace(
        scene,
        image=resize_image(scene.image, size),
        semantic_map=None if scene.semantic_map is None else resize_map(scene.semantic_map, size),
        boxes=scene.boxes * scale,
        mask_frames=scene.mask_frames * scale,
    )


def extend(scene: Scene, size: Size) -> Scene:
    """The scene at the top left of a canvas of (height, width), the rest of which is grey.

    What the grey shows is unknown.
    """
    if size == scene.size:
        return scene
    canvas = np.full((*size, 3), _GREY, np.uint8)
    canvas[: scene.size[0], : scene.size[1]] = scene.image
    labels = None if scene.semantic_map is None else pad_map(scene.semantic_map, size)
    return replace(scene, image=canvas, semantic_map=labels)


def flip(scene: Scene) -> Scene:
    """The scene mirrored left to right."""
    width = scene.size[1]
    return replace(
        scene,
        image=cv2.flip(scene.image, 1),
        boxes=_flip_boxes(scene.boxes, width),
        masks=scene.masks[:, :, ::-1],
        mask_frames=_flip_boxes(scene.mask_frames, width),
        semantic_map=None if scene.semantic_map is None else scene.semantic_map[:, ::-1],
    )


def _flip_boxes(boxes: Float[np.ndarray, "n 4"], width: int) -> Float[np.ndarray, "n 4"]:
    left, top, right, bottom = boxes.T
    return np.stack([width - right, top, width - left, bottom], axis=-1)
