"""Identities: which detections of successive frames are the same object.

``state, identities = track(state, detections, config)`` for each frame in turn, beginning with
``TrackerState()``. No frame is looked at twice, so a camera is followed as a file is.

An object is expected where it was last seen, moved on with its velocity. Detections go to the
objects whose expected masks they overlap most, by optimal assignment: first to numbered objects of
their class, then to those that have no number yet. What both sides have left over is matched across
classes, for detectors change their minds. This is SORT (A. Bewley et al., *Simple Online and
Realtime Tracking*, ICIP 2016, arXiv:1602.00763) with masks for boxes, and with a running mean of
the velocity for the Kalman filter, which comes down to one when it has run for a while. Velocity is
measured at edges that are not hidden: see ``_displacement``.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.video.frames import Moment
from maskrcnn_jax.video.regions import Region, object_regions, overlaps

# In the place of an identity, which count from 1: seen too seldom so far.
UNNUMBERED = 0
# What the newest measurement of a velocity counts for, against all before it.
_NEWEST = 0.3
# Least IoU across classes: the same pixels under another name, and not a neighbour.
_SAME_PIXELS = 0.5


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    # Least IoU of a detection and of its object where that is expected.
    min_iou: float = 0.1
    # Frames in a row in which an object has to be seen before it gets a number and is counted.
    confirm_after: int = 3
    # Frames for which a numbered object may be out of sight and is known again.
    patience: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.min_iou <= 1:
            raise InputError(f"min_iou must be above 0 and at most 1, not {self.min_iou}.")
        if self.confirm_after < 1:
            raise InputError(f"confirm_after must be at least 1, not {self.confirm_after}.")
        if self.patience < 0:
            raise InputError(f"patience must be at least 0, not {self.patience}.")


@dataclass(frozen=True, kw_only=True)
class Track:
    """An object. Lengths are in pixels, times in frames."""

    identity: int
    first: Moment  # when it was seen first
    votes: Mapping[int, int]  # for each label, the number of frames in which it was detected
    score: float  # the sum over these frames
    region: Region  # as it was last seen
    box: Float[np.ndarray, "4"]  # then, XYXY
    velocity: Float[np.ndarray, "2"]
    unseen: int = 0  # frames since then

    @property
    def label(self) -> int:
        """What it was taken for most often; the older label in a tie."""
        return max(self.votes, key=self.votes.__getitem__)

    @property
    def num_frames(self) -> int:
        """In which it was seen, those before it got a number among them."""
        return sum(self.votes.values())

    def expected(self) -> Region:
        """Where it should be in the next frame."""
        return self.region.moved((self.unseen + 1) * self.velocity)


@dataclass(frozen=True, kw_only=True)
class TrackerState:
    tracks: tuple[Track, ...] = ()  # first those of the newest detections, in their order
    num_identities: int = 0  # given so far


def track(
    state: TrackerState, detections: ImageDetections, config: TrackingConfig, *, at: Moment
) -> tuple[TrackerState, Int[np.ndarray, " n"]]:
    """The state after one more frame, and the identity of each of its n detections.

    Identities count from 1 in the order in which objects are confirmed, over all classes, and none
    is given twice. ``UNNUMBERED`` marks a detection of an object that is not confirmed (yet).
    """
    sightings = _sightings(detections, at)
    found = _matches(state.tracks, sightings, config)
    num_identities = state.num_identities
    tracks, identities = [], np.full(len(sightings), UNNUMBERED)
    for index, sighting in enumerate(sightings):
        seen = _seen_again(state.tracks[found[index]], sighting) if index in found else sighting
        if seen.identity == UNNUMBERED and seen.num_frames >= config.confirm_after:
            num_identities += 1
            seen = dataclasses.replace(seen, identity=num_identities)
        identities[index] = seen.identity
        tracks.append(seen)
    lost = [item for i, item in enumerate(state.tracks) if i not in found.values()]
    tracks += [
        dataclasses.replace(item, unseen=item.unseen + 1)
        for item in lost
        if item.identity != UNNUMBERED and item.unseen < config.patience
    ]
    return TrackerState(tracks=tuple(tracks), num_identities=num_identities), identities


def _sightings(detections: ImageDetections, at: Moment) -> list[Track]:
    """Each detection as an object that is seen for the first time."""
    return [
        Track(
            identity=UNNUMBERED,
            first=at,
            votes={int(label): 1},
            score=float(score),
            region=region,
            box=box,
            velocity=np.zeros(2),
        )
        for label, score, region, box in zip(
            *(detections.labels, detections.scores, object_regions(detections), detections.boxes),
            strict=True,
        )
    ]


def _matches(
    tracks: Sequence[Track], sightings: Sequence[Track], config: TrackingConfig
) -> dict[int, int]:
    """The track of each sighting that has one, by their indices."""
    iou = overlaps([track.expected() for track in tracks], [item.region for item in sightings])
    numbered = np.array([track.identity != UNNUMBERED for track in tracks], bool)[:, None]
    labels, new_labels = (np.array([item.label for item in of], int) for of in (tracks, sightings))
    same_class = labels[:, None] == new_labels
    overlapping = iou >= config.min_iou
    found: dict[int, int] = {}
    for allowed in (
        overlapping & same_class & numbered,
        overlapping & same_class & ~numbered,
        overlapping & (iou >= _SAME_PIXELS),
    ):
        allowed[list(found.values())] = False
        allowed[:, list(found)] = False
        found |= _best_pairs(np.where(allowed, iou, 0))
    return found


def _best_pairs(iou: Float[np.ndarray, "n m"]) -> dict[int, int]:
    """The row of each column, of those pairs with overlap whose sum is greatest."""
    rows, columns = linear_sum_assignment(iou, maximize=True)
    overlap = iou[rows, columns] > 0
    return dict(zip(columns[overlap].tolist(), rows[overlap].tolist(), strict=True))


def _seen_again(track: Track, sighting: Track) -> Track:
    """The track with what its newest sighting tells about it."""
    velocity = _displacement(track, sighting) / (track.unseen + 1)
    if track.num_frames > 1:
        velocity = _NEWEST * velocity + (1 - _NEWEST) * track.velocity
    label = sighting.label
    return Track(
        identity=track.identity,
        first=track.first,
        score=track.score + sighting.score,
        votes={**track.votes, label: track.votes.get(label, 0) + 1},
        region=sighting.region,
        box=sighting.box,
        velocity=velocity,
    )


def _displacement(track: Track, sighting: Track) -> Float[np.ndarray, "2"]:
    """How far the object has gone, of each axis by that edge of its box which shows it better.

    An object that is being hidden loses one edge after the other to what is in front of it. The
    centre of what is left goes with them; the edge that is still its own goes where it was going.
    """
    edges = (sighting.box - track.box).reshape(2, 2)  # low and high, x and y
    going = (track.unseen + 1) * track.velocity
    return edges[np.abs(edges - going).argmin(axis=0), [0, 1]]
