"""What a stored data set consists of: an example for each record, and metadata (JSON) for the rest.

Image files are stored as they are. Annotations are stored as JSON text, which keeps every float64
(``tf.train.Example`` has none) and segmentations of any kind.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from maskrcnn_jax.data.federation import Federation
from maskrcnn_jax.data.records import (
    Annotation,
    Category,
    Dataset,
    DroppedAnnotation,
    ImageIndex,
    Record,
    RecordSource,
)

# TFDS's name of the only split. It does not take every name that a user's split may have.
SPLIT = "records"
FEATURES = tfds.features.FeaturesDict(
    {
        "image": tfds.features.Image(),
        "image_id": np.int64,
        "file_name": tfds.features.Text(),
        "height": np.int64,
        "width": np.int64,
        "annotations": tfds.features.Text(),
    }
)
# Of a federation: category ids of each image.
_BY_IMAGE = ("absent", "not_exhaustive")
# Reading hands out the bytes of the image file.
DECODERS = {"image": tfds.decode.SkipDecoding()}


def to_example(record: Record) -> dict[str, Any]:
    """Inverse of ``from_example``."""
    annotations = [dataclasses.asdict(annotation) for annotation in record.annotations]
    return {**vars(record), "annotations": json.dumps(annotations)}


def from_example(example: dict[str, Any]) -> Record:
    """Inverse of ``to_example``."""
    return Record(
        image_id=int(example["image_id"]),
        file_name=example["file_name"].decode(),
        image=example["image"],
        height=int(example["height"]),
        width=int(example["width"]),
        annotations=tuple(map(_to_annotation, json.loads(example["annotations"]))),
    )


def to_metadata(dataset: Dataset, *, labels: Sequence[Sequence[int]]) -> dict[str, Any]:
    """All of a data set but its records, ready for JSON; ``labels`` are those of the records."""
    images = {key: np.asarray(value).tolist() for key, value in vars(dataset.images).items()}
    return {
        "name": dataset.name,
        "split": dataset.split,
        "categories": [dataclasses.asdict(category) for category in dataset.categories],
        "images": images,
        "dropped": [dataclasses.asdict(item) for item in dataset.dropped],
        "labels": labels,
        "federation": dataset.federation and _listed(dataset.federation),
    }


def from_metadata(metadata: dict[str, Any], records: RecordSource) -> Dataset:
    """Inverse of ``to_metadata``."""
    images = metadata["images"]
    return Dataset(
        name=metadata["name"],
        split=metadata["split"],
        categories=tuple(Category(**category) for category in metadata["categories"]),
        images=ImageIndex(
            ids=np.array(images["ids"], np.int64),
            file_names=tuple(images["file_names"]),
            heights=np.array(images["heights"], np.int32),
            widths=np.array(images["widths"], np.int32),
            num_objects=np.array(images["num_objects"], np.int32),
        ),
        records=records,
        dropped=tuple(
            DroppedAnnotation(**{**item, "annotation": _to_annotation(item["annotation"])})
            for item in metadata["dropped"]
        ),
        labels=tuple(map(tuple, metadata["labels"])),
        federation=_to_federation(metadata.get("federation")),  # not there in older data sets
    )


def _listed(federation: Federation) -> dict[str, list]:
    """Pairs of id and value, for keys of JSON objects are texts."""
    return {name: list(values.items()) for name, values in vars(federation).items()}


def _to_federation(listed: dict[str, list] | None) -> Federation | None:
    if listed is None:
        return None
    categories = {name: {id: tuple(ids) for id, ids in listed[name]} for name in _BY_IMAGE}
    return Federation(frequencies=dict(listed["frequencies"]), **categories)


def _to_annotation(fields: dict[str, Any]) -> Annotation:
    return Annotation(**{**fields, "box": tuple(fields["box"])})
