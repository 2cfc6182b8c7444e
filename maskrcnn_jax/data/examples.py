"""From a record to an example: a ``Batch`` without its leading axis, as numpy arrays.

Pure functions of the records and of the entry that the plan has drawn for it.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from maskrcnn_jax.data import augment
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.copy_paste import choose_objects, paste_objects
from maskrcnn_jax.data.images import pad_image, resize_image
from maskrcnn_jax.data.plan import Entry
from maskrcnn_jax.data.records import RecordSource
from maskrcnn_jax.data.scenes import Scene, read_scene
from maskrcnn_jax.data.semantic_maps import SemanticMaps, cells_of_map, pad_map, with_map
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.data.views import View
from maskrcnn_jax.structures import Batch, GroundTruth


def training_example(
    records: RecordSource,
    entry: Entry,
    *,
    padded_size: Size,
    num_slots: int,
    config: InputConfig,
    maps: SemanticMaps | None = None,
) -> Batch:
    """The image as drawn, with its objects in the first of ``num_slots`` ground-truth slots.

    Boxes are clipped to the image; an object whose box is left without area is not ``valid``.
    Objects are pasted as far as there are slots for them.
    """
    rng = np.random.default_rng(entry.seed)
    scene = _training_scene(records, entry.view, config, rng, maps)
    if entry.source is not None:
        source = _training_scene(records, entry.source, config, rng, maps)
        num_free = num_slots - len(scene.labels)
        scene = paste_objects(scene, choose_objects(source, rng, at_most=num_free))
    return _example(
        pad_image(scene.image, padded_size),
        size=scene.size,
        ground_truth=_ground_truth(scene, num_slots, padded_size),
        index=entry.view.index,
        valid=True,
    )


def image_example(
    image: UInt8[np.ndarray, "h w 3"], *, size: Size, padded_size: Size, index: int
) -> Batch:
    """An image resized to ``size``, without ground truth (0 slots)."""
    return _example(
        pad_image(resize_image(image, size), padded_size),
        size=size,
        ground_truth=_no_ground_truth(),
        index=index,
        valid=True,
    )


def filling_example(*, padded_size: Size) -> Batch:
    """Zeros, not ``valid``, that fill up a batch of images without ground truth."""
    return _example(
        np.zeros((*padded_size, 3), np.uint8),
        size=padded_size,
        ground_truth=_no_ground_truth(),
        index=0,
        valid=False,
    )


def _training_scene(
    records: RecordSource,
    view: View,
    config: InputConfig,
    rng: np.random.Generator,
    maps: SemanticMaps | None,
) -> Scene:
    """What the view shows, in colours drawn for it."""
    record = records[view.index]
    scene = read_scene(record, mask_size=config.mask_size, window=view.window)
    if maps is not None:
        scene = with_map(scene, maps.read(record), view.window)
    scene = augment.resize(scene, view.size)
    scene = replace(scene, image=config.colour.apply(scene.image, rng))
    scene = augment.extend(scene, view.canvas)
    return augment.flip(scene) if view.flip else scene


def _ground_truth(scene: Scene, num_slots: int, padded_size: Size) -> GroundTruth:
    height, width = scene.size
    boxes = np.clip(scene.boxes, 0, (width, height, width, height)).astype(np.float32)
    is_nonempty = np.all(boxes[:, 2:] > boxes[:, :2], axis=-1)
    labels = scene.semantic_map
    if labels is not None:
        labels = _host(cells_of_map(pad_map(labels, padded_size)))
    return GroundTruth(
        boxes=_pad_slots(boxes, num_slots),
        labels=_pad_slots(scene.labels, num_slots),
        masks=_pad_slots(scene.masks, num_slots),
        mask_frames=_pad_slots(scene.mask_frames.astype(np.float32), num_slots),
        valid=_pad_slots(is_nonempty, num_slots),
        semantic_map=labels,
    )


def _no_ground_truth() -> GroundTruth:
    """No slots, and bitmaps without cells."""
    return GroundTruth(
        boxes=_host(np.zeros((0, 4), np.float32)),
        labels=_host(np.zeros(0, np.int32)),
        masks=_host(np.zeros((0, 0, 0), np.bool_)),
        mask_frames=_host(np.zeros((0, 4), np.float32)),
        valid=_host(np.zeros(0, np.bool_)),
    )


def _example(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    size: Size,
    ground_truth: GroundTruth,
    index: int,
    valid: bool,
) -> Batch:
    return Batch(
        images=_host(image),
        sizes=_host(np.array(size, np.int32)),
        ground_truth=ground_truth,
        indices=_host(np.array(index, np.int32)),
        valid=_host(np.array(valid)),
    )


def _pad_slots(values: Shaped[np.ndarray, "n ..."], num_slots: int) -> Any:
    slots = np.zeros((num_slots, *values.shape[1:]), values.dtype)
    slots[: len(values)] = values
    return _host(slots)


def _host(array: np.ndarray) -> Any:
    """A numpy array for a field that is typed as the device array it becomes on transfer."""
    return array
