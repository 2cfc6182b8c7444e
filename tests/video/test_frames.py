import itertools
import struct
import threading
import time

import cv2
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.video.frames import Frame, Video, newest, open_camera, open_video

RATE, NUM_FRAMES, HEIGHT, WIDTH = 12.5, 9, 48, 80


@pytest.fixture(scope="module", params=["mp4v", "MJPG"])
def path(request, tmp_path_factory):
    """The left half is dark, and a red bar moves in the right one."""
    path = tmp_path_factory.mktemp("videos") / {"mp4v": "a.mp4", "MJPG": "a.avi"}[request.param]
    fourcc = cv2.VideoWriter.fourcc(*request.param)
    file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, RATE, (WIDTH, HEIGHT))
    for i in range(NUM_FRAMES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[:, 40 + 4 * i : 48 + 4 * i, 2] = 220
        file.write(image)
    file.release()
    return path


def red_columns(image):
    return np.flatnonzero(image[HEIGHT // 2, :, 0] > 110)


def test_all_frames_are_read_with_their_times(path):
    video = open_video(path)
    assert (video.rate, video.num_frames) == (RATE, NUM_FRAMES)
    frames = list(video.frames())
    assert [frame.index for frame in frames] == list(range(NUM_FRAMES))
    np.testing.assert_allclose([f.seconds for f in frames], np.arange(NUM_FRAMES) / RATE, atol=1e-3)
    for frame in frames:
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        assert frame.image.dtype == np.uint8
        assert np.abs(red_columns(frame.image).mean() - (43.5 + 4 * frame.index)) < 1.5
        assert frame.image[..., 1:].max() < 60  # RGB
    video.close()


def test_a_turned_video_is_read_upright(path):
    """A telephone held upright stores its pictures lying down, and says so."""
    if path.suffix != ".mp4":
        pytest.skip("AVI has no such metadata")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2: quarter turn clockwise
    struct.pack_into(
        ">9i", content, matrix, 0, 1 << 16, 0, -1 << 16, 0, 0, HEIGHT << 16, 0, 1 << 30
    )
    turned = path.with_name("turned.mp4")
    turned.write_bytes(content)
    for lying, upright in zip(open_video(path).frames(), open_video(turned).frames(), strict=True):
        np.testing.assert_array_equal(upright.image, np.rot90(lying.image, -1))


class FakeCapture:
    """A cv2.VideoCapture of black frames; times in seconds, one for each frame."""

    def __init__(self, times, *, rate=10.0, sides=()):
        self._times = iter(times)
        self._rate = rate
        self._sides = iter(sides)
        self.now = 0.0
        self.is_released = False

    def get(self, _):
        return self._rate

    def read(self):
        self.now = None if self.is_released else next(self._times, None)
        side = next(self._sides, 2)
        found = self.now is not None
        return found, np.zeros((side, side, 3), np.uint8) if found else None

    def release(self):
        self.is_released = True


def fake_video(times, **options):
    capture = FakeCapture(times, **options)
    return Video(capture, name="fake", clock=lambda: capture.now), capture


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([5.0, 5.1, 5.4, 5.45], [0, 0.1, 0.4, 0.45]),  # varies, and does not begin at 0
        ([0.0, 0.0, 0.0, 0.0], [0, 0.1, 0.2, 0.3]),  # a file without times
        ([0.0, 0.1, 0.05, 0.4], [0, 0.1, 0.2, 0.4]),  # falls
    ],
)
def test_times_rise_from_zero(told, expected):
    video, _ = fake_video(told)
    np.testing.assert_allclose([frame.seconds for frame in video.frames()], expected)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 90000.0])
def test_a_rate_that_no_video_has_is_not_believed(rate):
    assert fake_video([0.0], rate=rate)[0].rate == 30


def test_frames_keep_the_size_of_the_first():
    video, _ = fake_video([0.0, 0.1, 0.2], sides=[8, 20, 8])
    assert [frame.image.shape for frame in video.frames()] == [(8, 8, 3)] * 3


def test_a_stopped_video_ends():
    video, capture = fake_video(itertools.count())
    frames = video.frames()
    assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    video.stop()
    assert list(frames) == []
    assert not capture.is_released
    video.close()
    assert capture.is_released


def test_a_closed_video_ends():
    video, _ = fake_video(itertools.count())
    frames = video.frames()
    next(frames)
    video.close()
    assert list(frames) == []
    assert not video.is_stopped


def test_closing_waits_for_a_thread_that_reads():
    reading, go_on = threading.Event(), threading.Event()

    def slow_times():
        yield 0.0
        reading.set()
        assert go_on.wait(10)
        yield 1.0

    video, capture = fake_video(slow_times())
    read = []
    threads = [threading.Thread(target=lambda: read.extend(video.frames()))]
    threads[0].start()
    assert reading.wait(10)
    threads.append(threading.Thread(target=video.close))
    threads[1].start()
    time.sleep(0.02)
    assert not capture.is_released
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert capture.is_released
    assert len(read) == 2


@pytest.mark.parametrize(
    ("content", "suffix"), [(b"", ".mp4"), (b"no video" * 100, ".mp4"), (b"", ".webm")]
)
def test_a_file_that_is_no_video_is_one_line(tmp_path, content, suffix, capfd):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"broken{suffix}: no video .* ffmpeg -i") as caught:
        open_video(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_cut_off_file_is_refused_or_read_as_far_as_it_goes(path):
    cut = path.with_name(f"cut{path.suffix}")
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    if path.suffix == ".mp4":  # the table of its frames stands at the end
        with pytest.raises(InputError, match="damaged, incomplete"):
            open_video(cut)
    else:
        video = open_video(cut)
        assert 0 < len(list(video.frames())) < NUM_FRAMES


def test_what_is_not_there_is_refused(tmp_path, capfd):
    with pytest.raises(InputError, match=r"none\.mp4: there is no such video"):
        open_video(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="camera 99: no frame can be read: is it connected"):
        open_camera("99")
    assert capfd.readouterr() == ("", "")


def test_a_stream_is_read_by_its_address(path):
    """A file in the place of a camera, of which these machines have none."""
    video = open_camera(str(path))
    assert video.num_frames is None
    frames = list(video.frames())
    assert len(frames) == NUM_FRAMES
    assert frames[-1].seconds < 5  # by the clock on the wall


def test_a_slow_reader_of_a_camera_gets_the_newest_frames():
    shown = threading.Semaphore(0)

    def camera():
        for index in range(20):
            yield Frame(index=index, seconds=index / 10, image=np.zeros((2, 2, 3), np.uint8))
            if index in (9, 19):
                shown.release()

    seen = []
    for frame in newest(camera()):
        if not seen:
            assert shown.acquire(timeout=10)
        seen.append(frame.index)
    assert seen[-1] == 19
    assert len(seen) <= 12  # the first, or one after it, and those from 9 on
    assert seen == sorted(seen)
