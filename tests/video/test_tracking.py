"""Discs that move: which detection belongs to which is known, so mistakes can be counted."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.video import tracking
from maskrcnn_jax.video.frames import Moment
from maskrcnn_jax.video.tracking import UNNUMBERED, TrackerState, TrackingConfig
from tests.video.discs import HEIGHT, WIDTH, Disc, detected, visible_masks

CONFIG = TrackingConfig()
track = functools.partial(tracking.track, at=Moment(0, 0.0))
# What of a disc has to be seen for a detector to find it, in pixels.
LEAST = 100
CROSSING = [
    Disc(start=(20, 58), velocity=(4, 0)),
    Disc(start=(140, 62), velocity=(-4, 0)),  # hides the other one for some frames
]


def followed(discs, num_frames, *, change=lambda detections, rng: detections, config=CONFIG):
    """For each frame the identity of each disc: UNNUMBERED, or None for one that was not detected.

    ``change`` makes the detections of a frame worse, but keeps their order and number: it marks
    those that are missed by a score of 0. The tracker sees them in random order.
    """
    rng = np.random.default_rng(0)
    state, history = TrackerState(), []
    for frame in range(num_frames):
        masks = visible_masks(discs, frame)
        seen = np.flatnonzero(masks.sum((1, 2)) >= LEAST)
        labels = np.array([disc.label for disc in discs])
        detections = change(detected(masks[seen], labels[seen]), rng)
        order = rng.permutation(np.flatnonzero(detections.scores > 0))
        state, identities = track(state, detections.select(order), config)
        row = [None] * len(discs)
        for disc, identity in zip(seen[order], identities.tolist(), strict=True):
            row[disc] = identity
        history.append(row)
    return state, history


def numbers(history):
    """The successive identities of each disc; more than one means that it was taken for new."""
    return [
        [key for key, _ in itertools.groupby(identity for identity in column if identity)]
        for column in zip(*history, strict=True)
    ]


def boxes_only(detections, rng):
    return dataclasses.replace(detections, segmentations=None)


def missed(share):
    def change(detections, rng):
        scores = detections.scores * (rng.random(len(detections)) >= share)
        return dataclasses.replace(detections, scores=scores)

    return change


def mistaken(share, num_classes):
    def change(detections, rng):
        flips = rng.random(len(detections)) < share
        others = (detections.labels + 1) % num_classes
        return dataclasses.replace(detections, labels=np.where(flips, others, detections.labels))

    return change


@pytest.mark.parametrize("change", [lambda detections, rng: detections, boxes_only])
def test_discs_that_cross_keep_their_identities(change):
    _, history = followed(CROSSING, 30, change=change)
    assert any(None in row for row in history)  # one was hidden
    first, second = numbers(history)
    assert sorted(first + second) == [1, 2]


def crowd(seed):
    """Six discs of a class that all come to the middle of the picture at the same time."""
    rng = np.random.default_rng(seed)
    discs = []
    for _ in range(6):
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 4)
        velocity = np.array([speed * np.cos(angle), speed * np.sin(angle)])
        start = rng.uniform([50, 40], [110, 80]) - 30 * velocity
        discs.append(Disc(start=tuple(start), velocity=velocity, radius=rng.uniform(8, 16)))
    return discs


def test_few_identities_are_lost_in_crowds():
    """4 of 36. With the velocity of the boxes' centres it is 9, without velocity 14."""
    histories = [followed(crowd(seed), 60, change=missed(0.05))[1] for seed in range(6)]
    kept = [identities for history in histories for identities in numbers(history)]
    assert len(kept) == 36
    assert sum(max(len(identities) - 1, 0) for identities in kept) <= 5


def test_an_object_is_numbered_once_it_was_seen_often_enough():
    _, history = followed([Disc(start=(60, 60))], 5)
    assert [row[0] for row in history] == [UNNUMBERED, UNNUMBERED, 1, 1, 1]
    _, history = followed([Disc(start=(60, 60))], 2, config=TrackingConfig(confirm_after=1))
    assert [row[0] for row in history] == [1, 1]


@pytest.mark.parametrize(("gap", "expected"), [(1, [1]), (8, [1]), (9, [1, 2])])
def test_an_object_is_known_again_until_patience_ends(gap, expected):
    """Also where it has moved on meanwhile, by more than its size."""
    velocity = (3, 1)
    before = Disc(start=(20, 20), velocity=velocity, end=12)
    after = dataclasses.replace(before, first=12 + gap, end=30)
    _, history = followed([before, after], 30, config=TrackingConfig(patience=8))
    one = [[first if first is not None else second] for first, second in history]
    assert numbers(one) == [expected]


def test_numbers_count_objects_that_enter_and_leave_and_are_never_given_twice():
    lane = [
        Disc(start=(-14 - 4 * first, 60), velocity=(4, 0), first=first, end=first + 48)
        for first in (0, 15, 40, 100)
    ]
    state, history = followed(lane, 160, config=TrackingConfig(patience=5))
    assert numbers(history) == [[1], [2], [3], [4]]
    assert state.num_identities == 4
    assert state.tracks == ()


def scattered(num_classes):
    rng = np.random.default_rng(1)
    places = [(x, y) for x in (25, 60, 95, 130) for y in (25, 60, 95)]
    return [
        Disc(
            start=place,
            velocity=tuple(rng.uniform(-0.4, 0.4, 2)),
            radius=10,
            label=i % num_classes,
        )
        for i, place in enumerate(places)
    ]


def test_scores_that_flicker_do_not_break_identities():
    _, history = followed(scattered(1), 60, change=missed(0.3))
    assert sorted(itertools.chain(*numbers(history))) == list(range(1, 13))


def test_labels_that_flip_do_not_break_identities():
    discs = scattered(3)
    state, history = followed(discs, 60, change=mistaken(0.25, 3))
    assert sorted(itertools.chain(*numbers(history))) == list(range(1, 13))
    labels = {item.identity: item.label for item in state.tracks}
    assert [labels[identity] for (identity,) in numbers(history)] == [disc.label for disc in discs]


def test_what_is_seen_once_gets_no_number():
    state, rng = TrackerState(), np.random.default_rng(2)
    for frame in range(40):
        flashes = [Disc(start=tuple(rng.uniform(20, 100, 2)), radius=5) for _ in range(2)]
        detections = detected(visible_masks([Disc(start=(130, 60)), *flashes], frame), [0, 0, 0])
        state, identities = track(state, detections, CONFIG)
        assert (identities[1:] == UNNUMBERED).all()
    assert state.num_identities == 1
    assert len(state.tracks) == 3


def test_masks_tell_apart_what_boxes_do_not():
    """A disc in a ring that turn up in either order: their boxes overlap by more than half."""
    both = [Disc(start=(80, 60), radius=30, hole=24), Disc(start=(80, 60), radius=23)]
    masks = visible_masks(both, 0)
    state = TrackerState()
    for _ in range(3):
        state, identities = track(state, detected(masks, [0, 0]), CONFIG)
    np.testing.assert_array_equal(identities, [1, 2])
    _, alone = track(state, detected(masks[1:], [0]), CONFIG)
    np.testing.assert_array_equal(alone, [2])


def test_a_neighbour_of_another_class_is_not_the_same_object():
    state = TrackerState()
    for _ in range(3):
        state, _ = track(state, detected(visible_masks([Disc(start=(60, 60))], 0), [0]), CONFIG)
    beside = detected(visible_masks([Disc(start=(71, 60))], 0), [1])
    assert track(state, beside, CONFIG)[1].tolist() == [UNNUMBERED]
    same_class = dataclasses.replace(beside, labels=np.array([0]))
    assert track(state, same_class, CONFIG)[1].tolist() == [1]


def test_the_order_of_detections_changes_nothing():
    rng, state = np.random.default_rng(3), TrackerState()
    for frame in range(10):
        detections = detected(visible_masks(scattered(2), frame), [i % 2 for i in range(12)])
        order = rng.permutation(12)
        _, permuted = track(state, detections.select(order), CONFIG)
        state, identities = track(state, detections, CONFIG)
        if frame != 2:  # in which they are numbered, in the order in which they come
            np.testing.assert_array_equal(permuted, identities[order])
    assert (identities > 0).all()


def test_no_detections_and_empty_masks():
    nothing = detected(np.zeros((0, HEIGHT, WIDTH), bool), [])
    state, identities = track(TrackerState(), nothing, CONFIG)
    assert identities.shape == (0,)
    assert state == TrackerState()
    empty = dataclasses.replace(
        detected(np.zeros((1, HEIGHT, WIDTH), bool), [0]), boxes=np.array([[20, 20, 40.5, 50]])
    )
    for _ in range(3):
        state, identities = track(state, empty, CONFIG)
    assert identities.tolist() == [1]
    state, _ = track(state, nothing, CONFIG)
    assert track(state, empty, CONFIG)[1].tolist() == [1]


def test_the_state_is_not_changed():
    detections = detected(visible_masks(CROSSING, 0), [0, 0])
    state, _ = track(TrackerState(), detections, CONFIG)
    votes = [dict(item.votes) for item in state.tracks]
    once = track(state, detections, CONFIG)[0]
    assert [dict(item.votes) for item in state.tracks] == votes
    assert [item.votes for item in once.tracks] == [
        item.votes for item in track(state, detections, CONFIG)[0].tracks
    ]


@pytest.mark.parametrize(
    "wrong", [{"min_iou": 0.0}, {"min_iou": 1.5}, {"confirm_after": 0}, {"patience": -1}]
)
def test_impossible_configs_are_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} must"):
        TrackingConfig(**wrong)
