"""Videos and cameras: what is found in their frames, followed from frame to frame."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tqdm import tqdm

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.inference.batches import batched, read_ahead
from maskrcnn_jax.inference.journal import RESULTS
from maskrcnn_jax.inference.options import Output, OutputOptions, VideoOptions
from maskrcnn_jax.inference.places import Place, check_targets
from maskrcnn_jax.inference.predictor import Predictor, Views
from maskrcnn_jax.video.drawing import AddFrame, drawn_video
from maskrcnn_jax.video.frames import Frame, Video, newest, open_camera, open_video
from maskrcnn_jax.video.stopping import stops_when_asked
from maskrcnn_jax.video.tables import TABLE_SUFFIXES, with_suffix, written_tables
from maskrcnn_jax.video.tracking import TrackerState, track
from maskrcnn_jax.video.writer import SUFFIX

# Files count their frames roughly. One that has less than this share of them is cut off.
_MOST = 0.98


class Summary(NamedTuple):
    """What was found in a video."""

    num_frames: int
    totals: Counter[str]  # different objects, by the names of their classes


CAMERA = Path("camera")  # what its results are called

# How each video is opened, by the name that its results get.
Sources: TypeAlias = dict[Path, Callable[[], Video]]


def find_sources(places: Sequence[Place], options: VideoOptions, *, out: Path) -> Sources:
    """The camera or the videos; nothing where the places are images and folders of images.

    Each video is opened once to see that it can be read.
    """
    if options.camera is not None:
        if places:
            raise InputError("give either images or videos, or --camera")
        for target in _targets(out / CAMERA):
            if target.exists():
                raise InputError(f"{target} is there already: move it, or give another --out")
        return {CAMERA: partial(open_camera, options.camera)}
    if not places:
        raise InputError("give images, folders of images, videos, or --camera")
    videos = [place for place in places if not place.images]
    if not videos and options != VideoOptions():
        raise InputError("--max-frames, --max-seconds and --tracking are for videos")
    if 0 < len(videos) < len(places):
        other = next(place.path for place in places if place.images)
        raise InputError(f"{videos[0].path} is of videos, {other} of images: give two commands")
    return _by_name(videos, out)


def check_video_outputs(outputs: Sequence[Output]) -> None:
    """Refuses what is made of images alone."""
    for output in outputs:
        if output != "pictures":
            raise InputError(f"--save {output} is for images; of a video it can be pictures alone")


def _by_name(places: Sequence[Place], out: Path) -> Sources:
    found = {
        path: path.relative_to(place.folder).with_name(path.stem)
        for place in places
        for path in place.videos
    }
    taken: dict[Path, Path] = {}
    for path, name in found.items():
        open_video(path).close()
        for target in _targets(out / name):
            other = taken.setdefault(target, path)
            if other != path:
                raise InputError(f"{path} and {other} would both become {target}; rename one")
    if out / RESULTS in taken:
        raise InputError(f"{taken[out / RESULTS]}: {RESULTS} is of images; rename the video")
    check_targets(taken, found)
    return {name: partial(open_video, path) for path, name in found.items()}


def _targets(name: Path) -> list[Path]:
    """All that is written of a video."""
    return [with_suffix(name, suffix) for suffix in (SUFFIX, *TABLE_SUFFIXES)]


def predict_video(
    predictor: Predictor,
    video: Video,
    name: Path,
    *,
    categories: Sequence[Category],
    output: OutputOptions,
    options: VideoOptions,
) -> Summary:
    """Writes what is found until the video ends or is stopped; files are called ``name``."""
    state, expected = TrackerState(), _num_frames(video, options)
    with (
        stops_when_asked(video.stop),
        written_tables(name, categories) as tables,
        contextlib.ExitStack() as files,
        tqdm(total=expected, unit="frame", dynamic_ncols=True) as progress,
    ):
        drawings: list[AddFrame] = []
        if "pictures" in output.save:
            path = with_suffix(name, SUFFIX)
            drawn = drawn_video(path, predictor.class_names, rate=video.rate)
            drawings.append(files.enter_context(drawn))
        for frame, found in _predict_frames(predictor, video, options):
            shown = found.select(found.passing(min_score=output.min_score, classes=output.classes))
            state, identities = track(state, shown, options.tracking, at=frame.moment)
            tables.add(frame, shown, state.tracks[: len(shown)])
            for draw in drawings:
                draw(frame, shown, identities)
            progress.update()
        told = video.num_frames if video.has_ended and not video.is_stopped else None
        if told and tables.num_frames < _MOST * told:
            cut = f"{tables.num_frames} of {told} frames"
            progress.write(f"{video.name}: only {cut} could be read; is it damaged or cut off?")
    return Summary(tables.num_frames, tables.totals())


def _predict_frames(
    predictor: Predictor, video: Video, options: VideoOptions
) -> Iterator[tuple[Frame, ImageDetections]]:
    """What is found in each frame, in turn. A thread reads ahead.

    A camera's frames go one by one to each device, and are not read far ahead, to be new.
    """
    frames = _wanted_frames(video, options)
    is_live = options.camera is not None
    batch_size = predictor.batch_size(1 if is_live else video.num_frames or 2**31)
    waiting: dict[int, Frame] = {}  # for their results

    def read(_: int) -> tuple[Frame, Views] | None:
        frame = next(frames, None)
        if frame is None:
            return None
        return frame, predictor.views(frame.image, name=video.name, index=frame.index)

    def examples() -> Iterator[Views]:
        ahead = 1 if is_live else 2 * batch_size
        for example in read_ahead(read, itertools.count(), num_threads=1, ahead=ahead):
            if example is None or video.is_stopped:
                return
            frame, views = example
            waiting[frame.index] = frame
            yield views

    def original_size(index: int) -> tuple[int, int]:
        height, width = waiting[index].image.shape[:2]
        return height, width

    batches = batched(examples(), batch_size)
    for index, found in predictor.predict(batches, original_size=original_size):
        yield waiting.pop(index), found


def _wanted_frames(video: Video, options: VideoOptions) -> Iterator[Frame]:
    frames = video.frames() if options.camera is None else newest(video.frames())
    if options.max_seconds is not None:
        limit = options.max_seconds
        frames = itertools.takewhile(lambda frame: frame.seconds < limit, frames)
    return itertools.islice(frames, options.max_frames)


def _num_frames(video: Video, options: VideoOptions) -> int | None:
    """For the progress bar."""
    limits = [video.num_frames, options.max_frames]
    if options.max_seconds is not None and options.camera is None:
        limits.append(round(options.max_seconds * video.rate))
    return min((limit for limit in limits if limit is not None), default=None)
