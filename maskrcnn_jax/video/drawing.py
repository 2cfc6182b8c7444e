"""The video with what was found drawn on it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.evaluation.rle import DecodedMasks
from maskrcnn_jax.video.frames import Frame
from maskrcnn_jax.video.writer import VideoWriter, written_video
from maskrcnn_jax.visualization import draw_detections

# Takes a frame, what was found in it, and the identity of each detection.
AddFrame: TypeAlias = Callable[[Frame, ImageDetections, np.ndarray], None]


@contextlib.contextmanager
def drawn_video(path: Path, names: Sequence[str], *, rate: float) -> Iterator[AddFrame]:
    """Call what it gives for one frame after the other; the file is there once all are drawn."""
    with contextlib.ExitStack() as files:
        writer: VideoWriter | None = None  # until the first picture tells the size

        def add(frame: Frame, found: ImageDetections, identities: np.ndarray) -> None:
            nonlocal writer
            picture = draw_detections(
                frame.image,
                boxes=found.boxes,
                labels=found.labels,
                scores=found.scores,
                masks=None if found.segmentations is None else DecodedMasks(found.segmentations),
                names=names,
                identities=identities,
            )
            if writer is None:
                writer = files.enter_context(written_video(path, picture, rate=rate))
            else:
                writer.show(picture, frame.seconds)

        yield add
