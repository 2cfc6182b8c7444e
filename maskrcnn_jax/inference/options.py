"""What the scripts can be told about predictions."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.video.tracking import TrackingConfig

# What is made of an image, see ``inference.outputs``.
Output: TypeAlias = Literal["pictures", "maps", "cutouts"]


@dataclass(frozen=True, kw_only=True)
class TTAOptions:
    """Test-time augmentation, and how."""

    # Whether each image is seen at several scales and mirrored, and the results are put together
    # (docs/prediction.md). It takes about 20 times as long.
    tta: bool = False
    # Which scales, and whether mirrored.
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        if not self.tta and self.augmentation != AugmentationConfig():
            raise InputError("--augmentation plays no part without --tta True; add that")

    @property
    def chosen(self) -> AugmentationConfig:
        return self.augmentation if self.tta else NO_AUGMENTATION


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What becomes of detections. results.json has all of them, whatever is given here."""

    # What scores less is neither drawn nor counted.
    min_score: float = 0.5
    # Names of the classes that are drawn and counted; none: all.
    classes: tuple[str, ...] = ()
    # What is written for each image: a picture with the objects drawn on it, a map of the objects
    # (16-bit PNG; the value is the place in results.json, from 1), each object cut out (PNG with
    # transparency). Nothing after --save: results.json alone.
    save: tuple[Output, ...] = ("pictures",)


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """What there is to say about videos alone (docs/video.md)."""

    # A camera's number (0 is the first), or a stream's address (rtsp://...): until Ctrl-C.
    camera: str | None = None
    # Frames after which no more is looked at.
    max_frames: int | None = None
    # Seconds after which no more is looked at.
    max_seconds: float | None = None
    # How objects are known again from frame to frame.
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        for name in ("max_frames", "max_seconds"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                raise InputError(f"--{name.replace('_', '-')} must be more than 0, not {limit}")
