"""How closely two systems have to agree, and how a difference is measured and shown.

Both sides compute in float64, so that what is left is rounding. Entries are compared in order,
also among equal scores: a system that breaks ties in another way is outside the bars.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.results import ImageDetections

FEATURES = 1e-10  # relative to the largest entry
BOXES = 1e-8  # pixels, of proposals and detections
SCORES = 1e-10  # logits or probabilities
MASK_PROBABILITIES = 1e-7  # the references are stored in float32
LOSSES = 1e-9  # relative
GRADIENTS = 1e-6  # relative: norms, and first entries to the largest of them

HEAD = 8  # first entries of a flattened gradient, in the other system's layout


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest difference in a quantity, which must not be above its bar; ``where`` it is."""

    quantity: str
    value: float
    bar: float
    where: str = ""

    @property
    def passes(self) -> bool:
        return self.value <= self.bar  # False for NaN


def absolute(quantity: str, ours: np.ndarray, theirs: np.ndarray, *, bar: float) -> Difference:
    """The largest |ours - theirs|, infinite where the shapes differ."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        where = f"shape {ours.shape} instead of {theirs.shape}"
        return Difference(quantity=quantity, value=np.inf, bar=bar, where=where)
    if not theirs.size:
        return Difference(quantity=quantity, value=0.0, bar=bar)
    with np.errstate(invalid="ignore"):  # inf - inf, which are equal
        distance = np.where(ours == theirs, 0.0, np.abs(ours - theirs))
    place = np.unravel_index(distance.argmax(), distance.shape)  # of the first NaN, if any
    where = f"entry {', '.join(map(str, place))}" if place and distance[place] else ""
    return Difference(quantity=quantity, value=float(distance[place]), bar=bar, where=where)


def relative(quantity: str, ours: np.ndarray, theirs: np.ndarray, *, bar: float) -> Difference:
    """The largest |ours - theirs| in units of the largest |theirs|; zeros have to be zeros."""
    found = absolute(quantity, ours, theirs, bar=bar)
    if not found.value > 0:
        return found
    unit = float(np.abs(theirs).max(initial=0))
    return dataclasses.replace(found, value=found.value / unit if unit else np.inf)


def identical(quantity: str, ours: Sequence, theirs: Sequence) -> Difference:
    """How many entries are not equal; those that one side alone has count, too."""
    differing = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b]
    count = len(differing) + abs(len(ours) - len(theirs))
    if len(ours) != len(theirs):
        where = f"{len(ours)} instead of {len(theirs)} entries"
    else:
        where = f"first in entry {differing[0]}" if differing else ""
    return Difference(quantity=quantity, value=count, bar=0, where=where)


def same_names(quantity: str, ours: Iterable[str], theirs: Iterable[str]) -> Difference:
    """How many names only one side has."""
    differing = sorted(set(ours) ^ set(theirs))
    where = ", ".join(differing[:3])
    return Difference(quantity=quantity, value=len(differing), bar=0, where=where)


def worst(quantity: str, differences: Mapping[str, Difference]) -> Difference:
    """The largest of several named differences of one kind; infinite if there are none."""
    if not differences:
        return Difference(quantity=quantity, value=np.inf, bar=0, where="nothing to compare")
    name = max(differences, key=lambda name: np.nan_to_num(differences[name].value, nan=np.inf))
    where = f"{name} {differences[name].where}".rstrip()
    return dataclasses.replace(differences[name], quantity=quantity, where=where)


def compare_detections(
    ours: ImageDetections, theirs: ImageDetections, *, frame: str
) -> list[Difference]:
    """The detections of an image in order; pasted masks if the other system gave any.

    ``frame`` tells the reader which image the boxes lie in. Of masks the counts of their
    compressed RLEs are compared: the same text is the same mask.
    """
    rows = [
        absolute(f"boxes in {frame} (px)", ours.boxes, theirs.boxes, bar=BOXES),
        absolute(f"scores in {frame}", ours.scores, theirs.scores, bar=SCORES),
        identical(f"classes in {frame}", list(ours.labels), list(theirs.labels)),
    ]
    if theirs.segmentations is not None:
        masks = [_counts(found.segmentations or []) for found in (ours, theirs)]
        rows.append(identical(f"pasted masks in {frame}", *masks))
    return rows


def compare_losses(ours: Mapping[str, float], theirs: Mapping[str, float]) -> list[Difference]:
    """Each loss by its name, and whether there are others."""
    shared = sorted(ours.keys() & theirs.keys())
    rows = [
        relative(name, np.asarray(ours[name]), np.asarray(theirs[name]), bar=LOSSES)
        for name in shared
    ]
    return [same_names("names of the losses", ours, theirs), *rows]


def compare_gradients(
    ours: Mapping[str, np.ndarray],
    *,
    norms: Mapping[str, np.ndarray],
    heads: Mapping[str, np.ndarray],
) -> list[Difference]:
    """Norm and first ``HEAD`` flat entries of each parameter's gradient, and whose there are.

    ``ours`` has the other system's names and layouts.
    """
    shared = sorted(ours.keys() & norms.keys())
    by_norm = {
        name: relative("", np.asarray(np.linalg.norm(ours[name])), norms[name], bar=GRADIENTS)
        for name in shared
    }
    by_head = {
        name: relative("", ours[name].ravel()[:HEAD], heads[name], bar=GRADIENTS) for name in shared
    }
    return [
        same_names("parameters with a gradient", ours, norms),
        worst(f"norms of {len(shared)} gradients", by_norm),
        worst("first entries of gradients", by_head),
    ]


def table(differences: Iterable[Difference]) -> str:
    """One line for each quantity."""
    lines = [f"{'quantity':<28} {'difference':>10} {'bar':>6}"]
    for item in differences:
        verdict = "ok  " if item.passes else "FAIL"
        line = f"{item.quantity:<28} {item.value:>10.3g} {item.bar:>6g}  {verdict}  {item.where}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _counts(segmentations: Iterable[Mapping]) -> list[str]:
    return [rle["counts"] for rle in segmentations]
