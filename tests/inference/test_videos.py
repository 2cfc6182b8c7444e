"""Videos go through all but a network: the detector here is told by each frame what it shows."""

import contextlib
import csv
import itertools
import json
import os
import signal
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.inference.options import OutputOptions, VideoOptions
from maskrcnn_jax.inference.places import search
from maskrcnn_jax.inference.videos import check_video_outputs, find_sources, predict_video
from maskrcnn_jax.structures import Batch
from maskrcnn_jax.video.frames import Video, open_camera, open_video
from tests.video.discs import HEIGHT, WIDTH, Disc, detected, visible_masks

CATEGORIES = (Category(id=1, name="disc"), Category(id=2, name="ring"))
DISCS = [
    Disc(start=(20, 58), velocity=(4, 0)),
    Disc(start=(140, 62), velocity=(-4, 0), label=1),
    Disc(start=(-30, 100), velocity=(4, 0)),  # enters
]
RATE, NUM_FRAMES = 12.5, 22


def found_in(number):
    masks = visible_masks(DISCS, number)
    seen = np.flatnonzero(masks.sum((1, 2)) > 60)
    labels = np.array([disc.label for disc in DISCS])[seen]
    return detected(masks[seen], labels, scores=np.array([0.9, 0.8, 0.7])[seen])


def numbered(number):
    """A frame with its number as bright and dark squares, in binary."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for bit in range(7):
        image[4:20, 8 + 20 * bit : 24 + 20 * bit] = 230 if number >> bit & 1 else 0
    return image


def shown_number(image):
    return sum(int(image[12, 16 + 20 * bit].mean() > 128) << bit for bit in range(7))


class Oracle:
    """In the place of a Predictor."""

    class_names = ("disc", "ring")

    def __init__(self):
        self.batch_sizes = []

    def batch_size(self, num_images):
        return min(4, num_images)

    def views(self, image, *, name, index):
        batch = Batch(
            images=image,
            sizes=np.array(image.shape[:2]),
            ground_truth=None,  # type: ignore
            indices=np.array(index),
            valid=np.array(True),
        )
        return (batch,)

    def predict(self, batches, *, original_size):
        for (batch,) in batches:
            self.batch_sizes.append(len(batch.valid))
            for row in np.flatnonzero(batch.valid):
                index = int(batch.indices[row])
                assert original_size(index) == (HEIGHT, WIDTH)
                yield index, found_in(shown_number(batch.images[row]))


class Failing(Oracle):
    def views(self, image, *, name, index):
        if index == 9:
            raise InputError(f"{name}: cannot be looked at")
        return super().views(image, name=name, index=index)


def film(path, codec):
    fourcc = cv2.VideoWriter.fourcc(*codec)
    file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, RATE, (WIDTH, HEIGHT))
    for i in range(NUM_FRAMES):
        file.write(numbered(i))
    file.release()
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return film(tmp_path_factory.mktemp("videos") / "lane.one.mp4", "mp4v")


EVERYTHING = OutputOptions()


def predict(video, name, *, predictor=None, output=EVERYTHING, **options):
    with contextlib.closing(video):
        return predict_video(
            *(predictor or Oracle(), video, name),
            categories=CATEGORIES,
            output=output,
            options=VideoOptions(**options),
        )


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_video_becomes_a_video_results_and_tables(path, tmp_path, capfd):
    oracle = Oracle()
    num_frames, objects = predict(open_video(path), tmp_path / "lane.one", predictor=oracle)
    assert num_frames == NUM_FRAMES
    assert objects == {"disc": 2, "ring": 1}
    assert set(oracle.batch_sizes) == {4}
    names = {"lane.one.webm", "lane.one.json", "lane.one.csv", "lane.one.tracks.csv"}
    assert {item.name for item in tmp_path.iterdir()} == names
    counts = table(tmp_path / "lane.one.csv")
    assert [row["frame"] for row in counts] == [str(i) for i in range(NUM_FRAMES)]
    for i, row in enumerate(counts):
        labels = found_in(i).labels
        assert [row["disc"], row["ring"]] == [str((labels == k).sum()) for k in (0, 1)]
        assert float(row["seconds"]) == pytest.approx(i / RATE, abs=2e-3)
    assert counts[-1]["identities"] == "3"
    tracks = table(tmp_path / "lane.one.tracks.csv")
    firsts = [next(i for i in range(NUM_FRAMES) if len(found_in(i)) > k) for k in range(3)]
    assert [int(row["first_frame"]) for row in tracks] == firsts  # before they had a number
    records = json.loads((tmp_path / "lane.one.json").read_text())
    assert len(records) == sum(len(found_in(i)) for i in range(NUM_FRAMES))
    drawn = open_video(tmp_path / "lane.one.webm")
    assert (drawn.rate, drawn.num_frames) == (RATE, NUM_FRAMES)
    assert f"{NUM_FRAMES}/{NUM_FRAMES}" in capfd.readouterr().err  # the progress bar


def test_what_is_left_out_is_nowhere(path, tmp_path):
    output = OutputOptions(min_score=0.75, classes=("ring",), save=())
    _, objects = predict(open_video(path), tmp_path / "a", output=output)
    assert objects == {"ring": 1}
    assert {item.name for item in tmp_path.iterdir()} == {"a.json", "a.csv", "a.tracks.csv"}
    assert {r["category_id"] for r in json.loads((tmp_path / "a.json").read_text())} == {2}
    assert {row["disc"] for row in table(tmp_path / "a.csv")} == {"0"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"max_frames": 5}, 5), ({"max_frames": 1}, 1), ({"max_seconds": 0.5}, 7)],
)
def test_a_part_of_a_video(path, tmp_path, options, expected, capfd):
    """No damage, though its rate is another one than it says."""
    video = open_video(path)
    video.rate *= 2
    num_frames, _ = predict(video, tmp_path / "a", **options)
    assert "only" not in capfd.readouterr().out
    assert num_frames == expected
    assert open_video(tmp_path / "a.webm").num_frames == 2 * expected - 1


def test_a_camera_is_looked_at_frame_by_frame(path, tmp_path):
    """A file in its place: it gives frames faster than they are looked at, and ends by itself."""
    oracle, camera = Oracle(), str(path)
    num_frames, _ = predict(
        *(open_camera(camera), tmp_path / "camera"), predictor=oracle, camera=camera
    )
    frames = [int(row["frame"]) for row in table(tmp_path / "camera.csv")]
    assert len(frames) == num_frames > 0
    assert frames == sorted(set(frames))
    assert set(oracle.batch_sizes) == {1}


class Endless:
    """A cv2.VideoCapture."""

    def __init__(self):
        self._numbers = itertools.count()

    def get(self, _):
        return 100.0

    def read(self):
        time.sleep(0.01)
        return True, numbered(next(self._numbers) % NUM_FRAMES)

    def release(self):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [{}, {"camera": "0"}])
def test_ctrl_c_ends_a_video_whole(tmp_path, number, options, capfd):
    video = Video(Endless(), name="endless", clock=time.monotonic)  # type: ignore
    handler = signal.getsignal(number)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()
    num_frames, _ = predict(video, tmp_path / "a", **options)
    timer.join()
    assert video.is_stopped
    assert num_frames > 2
    assert len(table(tmp_path / "a.csv")) == num_frames
    json.loads((tmp_path / "a.json").read_text())
    assert len(list(open_video(tmp_path / "a.webm").frames())) > 2
    assert len(list(tmp_path.iterdir())) == 4
    assert signal.getsignal(number) == handler
    assert "ends when this batch is done" in capfd.readouterr().err


def test_a_video_that_is_cut_off_is_told(tmp_path, capfd):
    video = film(tmp_path / "a.avi", "MJPG")
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    num_frames, _ = predict(open_video(video), tmp_path / "a")
    assert 0 < num_frames < NUM_FRAMES
    assert f"a.avi: only {num_frames} of {NUM_FRAMES} frames" in capfd.readouterr().out


def test_a_failure_leaves_nothing(path, tmp_path):
    with pytest.raises(InputError, match=r"one\.mp4: cannot be looked at"):
        predict(open_video(path), tmp_path / "a", predictor=Failing())
    assert list(tmp_path.iterdir()) == []


def sources(*paths, out, **options):
    return find_sources([search(p, out=out) for p in paths], VideoOptions(**options), out=out)


def test_videos_are_told_from_images(path, tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/b.mp4").write_bytes(path.read_bytes())
    out = tmp_path / "out"
    assert [*sources(path, tmp_path / "in", out=out)] == [Path("lane.one"), Path("sub/b")]
    (tmp_path / "in/a.png").touch()
    assert sources(tmp_path / "in", tmp_path / "in/a.png", out=out) == {}
    assert [*sources(out=out, camera="0")] == [Path("camera")]


def test_what_cannot_be_looked_at_together_is_refused(path, tmp_path):
    image = tmp_path / "a.png"
    image.touch()
    (tmp_path / "broken.mp4").touch()
    others = [tmp_path / name for name in ("lane.one.mov", "lane.one.tracks.mp4", "results.mp4")]
    for other in (*others, tmp_path / "drawn.webm"):
        other.write_bytes(path.read_bytes())
    (tmp_path / "camera.csv").touch()
    (tmp_path / "sub").mkdir()
    for places, options, message in (
        ([path, image], {}, "is of videos, .* of images"),
        ([path, others[0]], {}, r"would both become .*lane\.one\.webm; rename one"),
        ([path, others[1]], {}, r"would both become .*lane\.one\.tracks\.csv; rename one"),
        ([others[2]], {}, r"results\.mp4: results\.json is of images"),
        ([tmp_path / "broken.mp4"], {}, r"broken\.mp4: no video"),
        ([tmp_path / "drawn.webm"], {}, "would be written; give another --out"),
        ([tmp_path / "none.mp4"], {}, "there is no such video"),
        ([], {}, "give images"),
        ([], {"camera": "0"}, r"camera\.csv is there already"),
        ([path], {"camera": "0"}, "or --camera"),
        ([image], {"max_frames": 3}, "are for videos"),
    ):
        with pytest.raises(InputError, match=message):
            sources(*places, out=tmp_path / "sub/..", **options)
    with pytest.raises(InputError, match="--max-seconds must"):
        VideoOptions(max_seconds=0.0)
    with pytest.raises(InputError, match="--save maps is for images"):
        check_video_outputs(["pictures", "maps"])
