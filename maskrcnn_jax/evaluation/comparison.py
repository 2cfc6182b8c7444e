"""From result records to matches and precision, step by step; what two kinds share is done once."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from maskrcnn_jax.evaluation import entrants, lvis
from maskrcnn_jax.evaluation.entrants import Entrants
from maskrcnn_jax.evaluation.evidence import Matches, matches_of
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.evaluation.instances import Cells, Objects, detections_in, objects_in
from maskrcnn_jax.evaluation.matching import IOU_THRESHOLDS, match
from maskrcnn_jax.evaluation.overlaps import IouType, Overlaps, boundary_overlaps, overlaps
from maskrcnn_jax.evaluation.precision import Curves, curves

NUMBERS = (1, 10, entrants.MAX_DETECTIONS)  # of detections of a cell, for recalls
_LOWEST = float(IOU_THRESHOLDS[0])


class Outcome(NamedTuple):
    curves: Curves  # recalls by NUMBERS, or of all detections by LVIS's rules
    matches: Matches


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    truth: CocoTruth
    results: Sequence[dict]
    cells: Cells

    def outcome(self, iou_type: IouType) -> Outcome:
        """Matches those that take part, and follows precision along recall."""
        detections, objects, lenient = self._boxes if iou_type == "bbox" else self._masks
        matching = match(self._overlaps(iou_type), detections, objects, lenient=lenient)
        numbers = (lvis.MAX_DETECTIONS,) if self.truth.federation else NUMBERS
        return Outcome(
            curves(matching, detections, objects, cells=self.cells, numbers=numbers),
            matches_of(matching, detections, objects),
        )

    def _overlaps(self, iou_type: IouType) -> Overlaps:
        if iou_type == "bbox":
            detections, objects, _ = self._boxes
            return overlaps(detections, objects, of_masks=False, at_least=_LOWEST)
        if iou_type == "segm":
            return self._mask_overlaps
        detections, objects, _ = self._masks
        return boundary_overlaps(self._mask_overlaps, detections, objects, at_least=_LOWEST)

    @functools.cached_property
    def _mask_overlaps(self) -> Overlaps:
        detections, objects, _ = self._masks
        return overlaps(detections, objects, of_masks=True, at_least=_LOWEST)

    @functools.cached_property
    def _boxes(self) -> Entrants:
        return self._entrants(with_masks=False)

    @functools.cached_property
    def _masks(self) -> Entrants:
        return self._entrants(with_masks=True)

    @functools.cached_property
    def _objects(self) -> Objects:
        return objects_in(self.cells, self.truth.objects)

    def _entrants(self, *, with_masks: bool) -> Entrants:
        objects = self._objects
        detections = detections_in(self.cells, self.results, with_masks=with_masks)
        federation = self.truth.federation
        if federation is None:
            return entrants.entrants(detections, objects)
        return lvis.entrants(detections, objects, cells=self.cells, federation=federation)
