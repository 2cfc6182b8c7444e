"""Small data sets in memory, for the tests of the input pipeline."""

from collections.abc import Sequence

import cv2
import numpy as np

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.records import Annotation, Dataset, ImageIndex, Record, Segmentation


def make_config(**changes) -> InputConfig:
    fields = {
        "batch_size": 4,
        "eval_batch_size": 4,
        "short_sides": (32,),
        "eval_short_side": 32,
        "long_side": 64,
        "padded_sizes": ((32, 64), (64, 32)),
        "mask_size": 28,
    }
    return InputConfig(**(fields | changes))


def make_annotation(
    box: tuple[float, float, float, float],
    *,
    label: int = 0,
    is_crowd: bool = False,
    segmentation: Segmentation | None = None,
) -> Annotation:
    """An object that is its own box (XYWH), unless it has another segmentation."""
    x, y, w, h = box
    if segmentation is None:
        segmentation = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return Annotation(
        id=1, label=label, box=box, area=w * h, is_crowd=is_crowd, segmentation=segmentation
    )


def make_record(
    image: np.ndarray, annotations: Sequence[Annotation] = (), *, name: str = "image.png"
) -> Record:
    """A record of an RGB image, stored without loss."""
    encoded = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    return Record(
        image_id=1,
        file_name=name,
        image=encoded,
        height=image.shape[0],
        width=image.shape[1],
        annotations=tuple(annotations),
    )


def make_dataset(records: Sequence[Record]) -> Dataset:
    num_objects = [sum(not a.is_crowd for a in record.annotations) for record in records]
    return Dataset(
        name="sample",
        split="train",
        categories=(),
        images=ImageIndex(
            ids=np.array([record.image_id for record in records]),
            file_names=tuple(record.file_name for record in records),
            heights=np.array([record.height for record in records], np.int32),
            widths=np.array([record.width for record in records], np.int32),
            num_objects=np.array(num_objects, np.int32),
        ),
        records=records,
    )


def random_dataset(sizes: Sequence[tuple[int, int]], *, seed: int = 0) -> Dataset:
    """Noise images of the given (height, width), with one object each."""
    rng = np.random.default_rng(seed)
    return make_dataset(
        [
            make_record(
                rng.integers(0, 256, (height, width, 3), np.uint8),
                [make_annotation((1, 2, width / 2, height / 3))],
                name=f"{i}.png",
            )
            for i, (height, width) in enumerate(sizes)
        ]
    )


def index_only(sizes: Sequence[tuple[int, int]], num_objects: Sequence[int]) -> Dataset:
    """A data set whose records must not be read."""
    heights, widths = np.array(sizes, np.int32).reshape(-1, 2).T
    return Dataset(
        name="sample",
        split="train",
        categories=(),
        images=ImageIndex(
            ids=np.arange(len(sizes)),
            file_names=tuple(f"{i}.jpg" for i in range(len(sizes))),
            heights=heights,
            widths=widths,
            num_objects=np.array(num_objects, np.int32),
        ),
        records=(),
    )
