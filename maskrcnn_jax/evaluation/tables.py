"""Scores and counts as plain text of at most 80 columns."""

import itertools
import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from maskrcnn_jax.evaluation.coco import CocoScores
from maskrcnn_jax.evaluation.overlaps import IouType

_WIDTH = 80
_LONGEST_NAME = 20
_HEADINGS: dict[IouType, str] = {"bbox": "box", "segm": "mask", "boundary": "boundary"}


def summary_table(scores: Mapping[IouType, CocoScores]) -> str:
    """All numbers but those of classes: precision on the left, recall on the right."""
    names = list(next(iter(scores.values())).summary)
    columns = ([name for name in names if name.startswith(kind)] for kind in ("AP", "AR"))
    heading = _cells({kind: _HEADINGS[kind] for kind in scores})
    lines = [f"{'':6}{heading}{'':8}{heading}"]
    for pair in itertools.zip_longest(*columns):
        lines.append("  ".join(f"{name:6}{_row(scores, name)}" for name in pair if name))
    quality = scores["segm"].mean_matched_iou if "segm" in scores else None
    if quality is not None:
        lines += ["", f"mean IoU of matched masks {_number(quality)}"]
    return "\n".join(lines)


def class_table(scores: Mapping[IouType, CocoScores]) -> str:
    """AP of each class, the best masks (or boxes) first, in as many columns as fit.

    Read down the columns. Classes without objects have no AP and are named below the table.
    """
    rows = {name: [item.per_class[name] for item in scores.values()] for name in _names(scores)}
    present = [name for name in rows if not all(map(math.isnan, rows[name]))]
    ranking = scores["segm" if "segm" in scores else "bbox"].per_class
    present.sort(key=lambda name: (-ranking[name], name))
    absent = sorted(set(rows) - set(present))
    name_width = min(max(map(len, present), default=0), _LONGEST_NAME)
    heading = f"{'AP':{name_width}} " + _cells({kind: _HEADINGS[kind] for kind in scores})
    cells = [
        f"{_shortened(name):{name_width}} "
        + _cells(dict(zip(scores, map(_number, rows[name]), strict=True)))
        for name in present
    ]
    lines = _in_columns(cells, heading=heading)
    if absent:
        text = f"Without objects: {', '.join(absent)}"
        lines += ["", *textwrap.wrap(text, _WIDTH)]
    return "\n".join(lines)


def count_table(counts: Sequence[Mapping[str, int]]) -> str:
    """Objects of each class in all images, the most frequent first, and in how many images.

    ``counts`` has the number of objects of each class in each image.
    """
    objects, images = Counter(), Counter()
    for image in counts:
        objects.update(image)
        images.update(image.keys())
    width = max([len(_shortened(name)) for name in objects] + [len("all")])
    lines = [f"{'':{width}}  objects  images"]
    for name, count in objects.most_common():
        lines.append(f"{_shortened(name):{width}}  {count:7}  {images[name]:6}")
    num_images = sum(any(image.values()) for image in counts)
    return "\n".join([*lines, f"{'all':{width}}  {objects.total():7}  {num_images:6}"])


def _row(scores: Mapping[IouType, CocoScores], name: str) -> str:
    return _cells({kind: _number(item.summary[name]) for kind, item in scores.items()})


def _names(scores: Mapping[IouType, CocoScores]) -> list[str]:
    return list(next(iter(scores.values())).per_class)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _in_columns(cells: list[str], *, heading: str) -> list[str]:
    gap = "   "
    num_columns = max(1, min(len(cells), (_WIDTH + len(gap)) // (len(heading) + len(gap))))
    num_rows = math.ceil(len(cells) / num_columns)
    columns = [cells[start : start + num_rows] for start in range(0, len(cells), num_rows or 1)]
    lines = [gap.join([heading] * len(columns))]
    for row in range(num_rows):
        lines.append(gap.join(column[row] for column in columns if row < len(column)))
    return lines


def _cells(texts: Mapping[IouType, str]) -> str:
    """A text for each kind of overlap, in columns as wide as their headings."""
    return " ".join(text.rjust(max(6, len(_HEADINGS[kind]))) for kind, text in texts.items())


def _number(value: float) -> str:
    return f"{'-':>6}" if math.isnan(value) else f"{value:6.3f}"
