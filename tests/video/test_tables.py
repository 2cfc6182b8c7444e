import csv
import dataclasses
import json

import numpy as np
import pytest

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.video.frames import Frame, Moment
from maskrcnn_jax.video.tables import written_tables
from maskrcnn_jax.video.tracking import TrackerState, TrackingConfig, track
from tests.video.discs import HEIGHT, WIDTH, Disc, detected, visible_masks

CATEGORIES = (Category(id=7, name="disc"), Category(id=9, name="ring"))
DISCS = [Disc(start=(30, 40)), Disc(start=(110, 80), hole=5, label=1)]


def frame(index):
    return Frame(index=index, seconds=index / 10, image=np.full((HEIGHT, WIDTH, 3), 90, np.uint8))


def tracks_of(found, identities):
    """Of detections whose identities are known; 0 for none."""
    state, _ = track(TrackerState(), found, TrackingConfig(), at=Moment(0, 0.0))
    pairs = zip(state.tracks, identities, strict=True)
    return [dataclasses.replace(one, identity=identity) for one, identity in pairs]


def write(name, identities_of_frames, *, change=lambda found: found):
    with written_tables(name, CATEGORIES) as tables:
        for index, identities in enumerate(identities_of_frames):
            shown = len(identities)
            masks = visible_masks(DISCS, index)[:shown]
            found = change(detected(masks, [0, 1][:shown], scores=[0.9, 0.8][:shown]))
            tables.add(frame(index), found, tracks_of(found, identities))
        return tables.totals()


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_all_files_tell_the_same(tmp_path):
    totals = write(tmp_path / "out" / "a.b", [[0, 0], [1, 0], [1], [], [1, 2]])
    assert totals == {"disc": 1, "ring": 1}
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"a.b.json", "a.b.csv", "a.b.tracks.csv"}

    records = json.loads((tmp_path / "out" / "a.b.json").read_text())
    told = [(r["frame"], r["track_id"], r["category_id"]) for r in records]
    assert told == [
        *[(0, None, 7), (0, None, 9), (1, 1, 7), (1, None, 9), (2, 1, 7), (4, 1, 7), (4, 2, 9)]
    ]
    assert records[-1]["seconds"] == 0.4
    np.testing.assert_array_equal(
        rle.decode(records[-1]["segmentation"]), visible_masks(DISCS, 4)[1]
    )

    counts = table(tmp_path / "out" / "a.b.csv")
    assert [row["disc"] for row in counts] == ["1", "1", "1", "0", "1"]
    assert [row["ring"] for row in counts] == ["1", "1", "0", "0", "1"]
    assert [row["identities"] for row in counts] == ["0", "1", "1", "1", "2"]
    tracks = table(tmp_path / "out" / "a.b.tracks.csv")
    assert [(row["track_id"], row["category"], row["frames"]) for row in tracks] == [
        *[("1", "disc", "1"), ("2", "ring", "1")]
    ]


def test_boxes_and_empty_frames_are_written(tmp_path):
    write(
        tmp_path / "a",
        [[1, 2]],
        change=lambda found: dataclasses.replace(found, segmentations=None),
    )
    first, _ = json.loads((tmp_path / "a.json").read_text())
    assert "segmentation" not in first
    write(tmp_path / "a", [[], []])
    assert json.loads((tmp_path / "a.json").read_text()) == []
    assert len(table(tmp_path / "a.csv")) == 2
    assert table(tmp_path / "a.tracks.csv") == []


def test_a_failure_leaves_the_old_results(tmp_path):
    write(tmp_path / "a", [[1]])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="zip"):
        write(tmp_path / "a", [[1], [1, 2, 3]])  # an identity too many
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
