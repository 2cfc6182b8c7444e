"""What LVIS knows of its images: of most categories nobody has looked whether an image shows them.

LVIS (Gupta et al., 2019, arXiv:1908.03195) joins many small data sets, one for each category, that
share their images. A category is looked for in some images only; those are the images where it is
annotated, and those whose ``neg_category_ids`` name it. A file whose images have that key is one of
LVIS. It must then have it in all images, ``not_exhaustive_category_ids`` beside it, and the
``frequency`` of each category.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Literal, TypeAlias, get_args

from maskrcnn_jax.data import json_fields
from maskrcnn_jax.data.json_fields import field, shown
from maskrcnn_jax.data.problems import DataError, Kind, Problem, Report, attempt

# In how many images of the training split a category is: rare (up to 10), common (up to 100) or
# frequent.
Frequency: TypeAlias = Literal["r", "c", "f"]
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
_ABSENT, _NOT_EXHAUSTIVE = "neg_category_ids", "not_exhaustive_category_ids"


@dataclass(frozen=True, kw_only=True)
class Federation:
    """By the ids of the annotation file."""

    frequencies: Mapping[int, Frequency]  # of each category
    # Of each image the categories of which it shows nothing, and those of which it shows more
    # objects than are annotated.
    absent: Mapping[int, tuple[int, ...]]
    not_exhaustive: Mapping[int, tuple[int, ...]]


def read_federation(content: dict, path: Traversable, *, report: Report) -> Federation | None:
    """None for an annotation file that is not one of LVIS.

    It is read after the images and the categories, whose own problems are not reported again.
    """
    images = list(json_fields.records(content, "images", path, _reported_before))
    if not any(_ABSENT in record for _, record, _ in images):
        return None
    frequencies: dict[int, Frequency] = {}
    for id, record, where in json_fields.records(content, "categories", path, _reported_before):
        frequency = attempt(report, _frequency, record, where)
        if frequency is not None:
            frequencies[id] = frequency
    absent, not_exhaustive = {}, {}
    for id, record, where in images:
        absent[id] = attempt(report, _ids, record, _ABSENT, where) or ()
        not_exhaustive[id] = attempt(report, _ids, record, _NOT_EXHAUSTIVE, where) or ()
    return Federation(frequencies=frequencies, absent=absent, not_exhaustive=not_exhaustive)


def _reported_before(problem: Problem) -> None:
    pass


def _frequency(record: dict, where: str) -> Frequency:
    given = field(record, "frequency", str, where)
    for frequency in FREQUENCIES:
        if given == frequency:
            return frequency
    text = f"'frequency' is {shown(given)}; it must be 'r', 'c' or 'f'."
    raise DataError(Kind.WRONG_TYPE, text, where=where)


def _ids(record: dict, key: str, where: str) -> tuple[int, ...]:
    """Category ids. One that does not exist says nothing, and is let pass."""
    values = field(record, key, list, where)
    if not all(type(value) is int for value in values):
        text = f"{key!r} is {shown(values)}; it must be a list of category ids."
        raise DataError(Kind.WRONG_TYPE, text, where=where)
    return tuple(values)
