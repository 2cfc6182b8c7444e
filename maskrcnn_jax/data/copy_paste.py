"""Simple copy-paste (Ghiasi et al., 2021): objects of one image are put onto another.

Both images are seen as any training image is, independently; a random part of the objects of the
second goes where it is there, without blending. What lies under them loses the pixels that they
cover, from its mask, and where that moves its outline, from its box.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool

from maskrcnn_jax.data.bitmaps import cell_areas, covered_shares, draw_mask, tight_boxes
from maskrcnn_jax.data.scenes import Scene
from maskrcnn_jax.errors import InputError

# An object is taken for hidden when no more than this is left of it, in pixels, ...
_SMALL_REST = 300
# ... and a side of its box has moved by more than this, in pixels. Both from tensorflow/tpu,
# maskrcnn_parser_with_copy_paste.py, the code of the paper.
_SMALL_MOVE = 10


@dataclass(frozen=True, kw_only=True)
class CopyPasteConfig:
    # Share of the images onto which objects are pasted; 0: none.
    probability: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise InputError(
                f"copy_paste.probability must be between 0 and 1, not {self.probability!r}."
            )


def choose_objects(scene: Scene, rng: np.random.Generator, *, at_most: int) -> Scene:
    """The scene with some of its objects: how many is drawn first, from none to all.

    There are never more than ``at_most``.
    """
    count = min(int(rng.integers(len(scene.labels) + 1)), at_most)
    chosen = rng.permutation(len(scene.labels))[:count]
    return scene.select(np.sort(chosen))


def paste_objects(scene: Scene, pasted: Scene) -> Scene:
    """``scene`` with all objects of ``pasted``, an image of the same size, in front of its own.

    Its own objects come first, but for those that are hidden now.
    """
    cover = np.zeros(scene.size, bool)
    for bitmap, frame in zip(pasted.masks, pasted.mask_frames, strict=True):
        cover |= draw_mask(bitmap, frame, size=scene.size)
    below = _uncovered(scene, cover)
    labels = scene.semantic_map
    if labels is not None and pasted.semantic_map is not None:
        labels = np.where(cover, pasted.semantic_map, labels)
    return Scene(
        image=cv2.copyTo(pasted.image, cover.astype(np.uint8), scene.image.copy()),
        boxes=np.concatenate([below.boxes, pasted.boxes]),
        labels=np.concatenate([below.labels, pasted.labels]),
        masks=np.concatenate([below.masks, pasted.masks]),
        mask_frames=np.concatenate([below.mask_frames, pasted.mask_frames]),
        semantic_map=labels,
    )


def _uncovered(scene: Scene, cover: Bool[np.ndarray, "h w"]) -> Scene:
    """What of the objects is left outside of ``cover``.

    A cell of a bitmap is lost when half of it is covered. The frames stay.
    """
    frames, mask_size = scene.mask_frames, scene.masks.shape[-1]
    masks = scene.masks & (covered_shares(cover, frames, mask_size=mask_size) < 0.5)
    before, after = tight_boxes(scene.masks, frames), tight_boxes(masks, frames)
    is_touched = (masks != scene.masks).any((1, 2))
    is_moved = is_touched[:, None] & (before != after)
    left = masks.sum((1, 2)) * cell_areas(frames, mask_size=mask_size)
    is_shown = (left > _SMALL_REST) | (np.abs(after - before).max(-1) <= _SMALL_MOVE)
    rest = replace(scene, masks=masks, boxes=np.where(is_moved, after, scene.boxes))
    return rest.select(np.flatnonzero(~is_touched | (masks.any((1, 2)) & is_shown)))
