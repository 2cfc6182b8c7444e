import csv
import io

import numpy as np

from maskrcnn_jax.video.counts import CountsTable, IdentityTable
from maskrcnn_jax.video.frames import Moment
from maskrcnn_jax.video.tracking import TrackerState, TrackingConfig, track
from tests.video.discs import Disc, detected, visible_masks

NAMES = ["disc", "a, quoted one"]


def rows(text):
    return list(csv.reader(io.StringIO(text)))


def test_a_row_for_each_frame():
    file = io.StringIO()
    table = CountsTable(file, NAMES)
    table.add(0, 0.0, labels=np.array([1, 0, 1]), num_identities=0)
    table.add(1, 0.04, labels=np.array([], int), num_identities=2)
    assert rows(file.getvalue()) == [
        ["frame", "seconds", "identities", *NAMES],
        ["0", "0.000", "0", "1", "2"],
        ["1", "0.040", "2", "0", "0"],
    ]


def identity_table():
    """A disc that was taken for another thing in its first frame, before it had a number."""
    table = IdentityTable()
    state = TrackerState()
    sightings = [(0, [1], [0.5]), (1, [0, 1], [1.0, 0.5]), (4, [0, 1], [0.75, 0.75])]
    discs = [Disc(start=(30, 40)), Disc(start=(110, 80))]
    for frame, labels, scores in sightings:
        found = detected(visible_masks(discs[: len(labels)], 0), labels, scores=scores)
        moment = Moment(frame, frame / 10)
        state, _ = track(state, found, TrackingConfig(confirm_after=2), at=moment)
        table.add(moment, state.tracks[: len(labels)])
    return table


def test_a_row_for_each_identity_from_its_first_frame_on():
    file = io.StringIO()
    identity_table().write(file, NAMES)
    header, *others = rows(file.getvalue())
    assert header[:3] == ["track_id", "category", "frames"]
    assert [dict(zip(header, row, strict=True)) for row in others] == [
        {
            **{"track_id": "1", "category": "disc", "frames": "3", "score": "0.750"},
            **{"first_frame": "0", "last_frame": "4"},
            **{"first_seconds": "0.000", "last_seconds": "0.400"},
        },
        {
            **{"track_id": "2", "category": "a, quoted one", "frames": "2", "score": "0.625"},
            **{"first_frame": "1", "last_frame": "4"},
            **{"first_seconds": "0.100", "last_seconds": "0.400"},
        },
    ]


def test_identities_are_counted_as_what_they_were_seen_most_often():
    assert identity_table().count_by_class() == {0: 1, 1: 1}
    assert IdentityTable().count_by_class() == {}
