import csv
import io

import numpy as np

from maskrcnn_jax.video.counts import CountsTable, IdentityTable

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
    table = IdentityTable()
    sightings = [(0, [2, 0], [1, 1]), (1, [1, 2], [0, 0]), (4, [2, 1], [0, 1])]
    for frame, identities, labels in sightings:
        table.add(
            *(frame, frame / 10),
            identities=np.array(identities),
            labels=np.array(labels),
            scores=np.array([0.5, 1.0]),
        )
    return table


def test_a_row_for_each_identity():
    file = io.StringIO()
    identity_table().write(file, NAMES)
    header, *others = rows(file.getvalue())
    assert header[:3] == ["track_id", "category", "frames"]
    assert [dict(zip(header, row, strict=True)) for row in others] == [
        {
            **{"track_id": "1", "category": "disc", "frames": "2", "score": "0.750"},
            **{"first_frame": "1", "last_frame": "4"},
            **{"first_seconds": "0.100", "last_seconds": "0.400"},
        },
        {
            **{"track_id": "2", "category": "disc", "frames": "3", "score": "0.667"},
            **{"first_frame": "0", "last_frame": "4"},
            **{"first_seconds": "0.000", "last_seconds": "0.400"},
        },
    ]


def test_identities_are_counted_as_what_they_were_seen_most_often():
    assert identity_table().count_by_class() == {0: 2}
    assert IdentityTable().count_by_class() == {}
