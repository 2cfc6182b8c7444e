import resource
import subprocess
import sys

import numpy as np
import pytest

from maskrcnn_jax.video.frames import open_video
from maskrcnn_jax.video.writer import written_video


def plain(grey, *, height=48, width=64):
    return np.full((height, width, 3), grey, np.uint8)


def write(path, pictures, times, *, rate=10.0):
    with written_video(path, pictures[0], rate=rate) as writer:
        for picture, seconds in zip(pictures[1:], times[1:], strict=True):
            writer.show(picture, seconds)


def write_greys(path, greys_at, *, rate=10.0, **size):
    """Plain pictures, given as pairs of a grey and a time in seconds."""
    pictures = [plain(grey, **size) for grey, _ in greys_at]
    write(path, pictures, [seconds for _, seconds in greys_at], rate=rate)


def greys(path):
    """The brightness of each frame, rounded to tens: the codec loses something."""
    return [round(frame.image.mean(), -1) for frame in open_video(path).frames()]


def test_what_is_written_can_be_read_in_its_colours(tmp_path):
    picture = plain(0)
    picture[:, :32], picture[:, 32:] = (200, 40, 60), (20, 90, 220)
    with written_video(tmp_path / "new" / "a.webm", picture, rate=25) as writer:
        for i in range(1, 5):
            writer.show(picture, i / 25)
    video = open_video(tmp_path / "new" / "a.webm")
    frames = list(video.frames())
    assert (video.rate, video.num_frames, len(frames)) == (25, 5, 5)
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(5) / 25, atol=1e-3)
    inside = np.s_[4:-4, [8, 16, 48, 56]]
    np.testing.assert_allclose(frames[3].image[inside], picture[inside].astype(int), atol=12)
    assert (tmp_path / "new" / "a.webm").read_bytes()[:4] == b"\x1a\x45\xdf\xa3"  # EBML: WebM
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_pictures_are_shown_at_their_times(tmp_path):
    """At 10 frames in a second: on time, late, two in one frame, after an hour, the last."""
    path = tmp_path / "a.webm"
    write_greys(
        path, [(10, 0), (50, 0.1), (90, 0.4), (130, 0.51), (170, 0.54), (210, 3600), (250, 3600.1)]
    )
    assert greys(path) == [10, 50, 50, 50, 90, 170, 210, 250]
    write_greys(path, [(10, 0)])
    assert greys(path) == [10]
    write_greys(path, [(10, 0), (90, 4.0)], rate=0.25)  # written at one frame in a second
    assert greys(path) == [10] * 4 + [90]


@pytest.mark.parametrize(("height", "width"), [(49, 65), (17, 16), (16, 500)])
def test_every_size_is_written(tmp_path, height, width):
    path = tmp_path / "a.webm"
    write_greys(path, [(40, 0), (200, 0.1)], height=height, width=width)
    assert greys(path) == [40, 200]
    image = next(open_video(path).frames()).image
    assert np.abs(np.subtract(image.shape[:2], (height, width))).max() <= 1


def test_a_picture_of_another_size_is_not_lost(tmp_path):
    with written_video(tmp_path / "a.webm", plain(10), rate=10) as writer:
        writer.show(plain(200, height=90, width=80), 0.1)
    assert greys(tmp_path / "a.webm") == [10, 200]


def test_a_failure_keeps_the_old_video(tmp_path):
    path = tmp_path / "a.webm"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), written_video(path, plain(9), rate=10) as writer:
        writer.show(plain(8), 1 / 0)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("limit", [20_000, 100_000])
def test_a_full_disk_is_an_error(tmp_path, limit):
    """OpenCV says nothing. A limit on the size of files does to it what a full disk does."""
    noise = np.random.default_rng(0).integers(0, 256, (5, 240, 320, 3)).astype(np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match=r"a\.webm: .* is the disk full"):
            write(tmp_path / "a.webm", noise, np.arange(5) / 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_said_on_stderr(tmp_path):
    """OpenCV writes there by itself, past Python."""
    program = (
        "import sys, pathlib, numpy as np\n"
        "from maskrcnn_jax.video.writer import written_video\n"
        "with written_video(pathlib.Path(sys.argv[1]), np.zeros((8, 8, 3), 'u1'), rate=10): pass\n"
        "print('heard', file=sys.stderr)\n"
    )
    path = tmp_path / "a.webm"
    result = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert result.stderr == "heard\n"
    assert path.exists()
