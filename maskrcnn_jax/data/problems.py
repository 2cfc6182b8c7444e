"""What can be wrong with a data set in COCO layout, and what becomes of it.

Each rule stands once, in the code that reads. It raises a ``DataError``, or reports a ``Problem``
that it can live with. Who reads says what a report does: ``raise_if_it_stops`` gives up at the
first problem that training cannot live with, and ``list.append`` collects them all.
"""

import enum
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeAlias, TypeVar

from maskrcnn_jax.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

# What reading a file in a folder or in a zip archive raises where it is damaged or out of reach.
READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


class Effect(enum.Enum):
    """What a problem does to training, worst first."""

    STOPS = "stops training"
    LEFT_OUT = "left out of training"
    CHANGED = "changed when it is read"
    DOUBTFUL = "taken as it is, but doubtful"


class Kind(enum.Enum):
    """A kind of problem: its effect, what it is, and what training (and evaluation) does with it.

    Evaluation refuses what training refuses.
    """

    def __init__(self, effect: Effect, what: str, treatment: str) -> None:
        self.effect = effect
        self.what = what
        self.treatment = treatment

    # ---- the annotation file ---------------------------------------------------------------------
    UNREADABLE_FILE = (Effect.STOPS, "annotation file that cannot be read", "refused")
    INVALID_JSON = (Effect.STOPS, "invalid JSON", "refused")
    REPEATED_KEY = (Effect.STOPS, "key that one JSON object has twice", "refused")
    MISSING_KEY = (Effect.STOPS, "missing key", "refused")
    WRONG_TYPE = (Effect.STOPS, "value of the wrong type", "refused")
    BAD_NUMBER = (Effect.STOPS, "number that is NaN, infinite or out of range", "refused")
    BAD_TEXT = (Effect.STOPS, "text that cannot be written down", "refused")
    EMPTY_LIST = (Effect.STOPS, "no images or no categories", "refused")
    REPEATED_ID = (Effect.STOPS, "id that occurs twice", "refused")
    UNKNOWN_ID = (Effect.STOPS, "image or category that does not exist", "refused")
    NOTHING_LEFT = (Effect.STOPS, "no annotation that covers anything", "refused")
    NO_OBJECTS = (Effect.STOPS, "no image with an object to train on", "refused; evaluation is not")
    # ---- masks -----------------------------------------------------------------------------------
    NO_MASK = (Effect.STOPS, "mask that is missing, or neither polygons nor an RLE", "refused")
    HALF_POINT = (Effect.STOPS, "polygon with an odd number of coordinates", "refused")
    TOO_FEW_POINTS = (Effect.STOPS, "mask of polygons of fewer than three points", "refused")
    TOO_LONG_OUTLINE = (Effect.STOPS, "polygon far larger than any image", "refused")
    OTHER_RLE_SIZE = (Effect.STOPS, "RLE of another size than its image", "refused")
    BAD_RLE = (Effect.STOPS, "RLE that cannot be decoded", "refused")
    # ---- image files -----------------------------------------------------------------------------
    NO_IMAGE_FOLDER = (Effect.STOPS, "no folder with images", "refused")
    MISSING_IMAGE = (Effect.STOPS, "image file that does not exist", "refused")
    UNREADABLE_IMAGE = (Effect.STOPS, "image that is damaged or of an unknown format", "refused")
    HUGE_IMAGE = (Effect.STOPS, "image with too many pixels", "refused")
    OTHER_IMAGE_SIZE = (Effect.STOPS, "image of another size than the annotations say", "refused")
    TURNED_IMAGE = (Effect.STOPS, "image annotated upright, but stored on its side", "refused")
    # ---- what is not trained on ------------------------------------------------------------------
    BOX_WITHOUT_AREA = (
        Effect.LEFT_OUT,
        "box without area",
        "not trained on; stays in an evaluation's ground truth and counts as missed",
    )
    BOX_OUTSIDE = (
        Effect.LEFT_OUT,
        "box outside the image",
        "not trained on; stays in an evaluation's ground truth and counts as missed",
    )
    MASK_WITHOUT_AREA = (
        Effect.LEFT_OUT,
        "mask without area in the image",
        "not trained on; stays in an evaluation's ground truth, where only its box can be found",
    )
    STRAY_POINTS = (
        Effect.LEFT_OUT,
        "polygon of fewer than three points beside sound ones",
        "passed over: the other polygons are the mask",
    )
    CROWD = (
        Effect.LEFT_OUT,
        "crowd",
        "not trained on; detections of it are neither right nor wrong in evaluation",
    )
    CROWD_OF_POLYGONS = (
        Effect.LEFT_OUT,
        "crowd made of polygons",
        "as other crowds; COCO's own are RLE, so check that 'iscrowd' is meant",
    )
    EMPTY_IMAGE = (
        Effect.LEFT_OUT,
        "image without objects",
        "not trained on, unless with --input.keep-empty True; evaluated",
    )
    # ---- what is changed -------------------------------------------------------------------------
    BOX_STICKS_OUT = (
        Effect.CHANGED,
        "box that sticks out of its image",
        "clipped to the image for training; evaluated as it is",
    )
    GREY_IMAGE = (Effect.CHANGED, "grey image", "becomes RGB with three equal channels")
    CMYK_IMAGE = (Effect.CHANGED, "CMYK image", "becomes RGB, without regard to a colour profile")
    TRANSPARENT_IMAGE = (
        Effect.CHANGED,
        "image with transparency",
        "the transparency is dropped: colours that it hides are seen",
    )
    DEEP_IMAGE = (
        Effect.CHANGED,
        "image of 16 bits a channel",
        "the upper 8 bits are kept",
    )
    ORIENTED_IMAGE = (
        Effect.CHANGED,
        "image that says it is to be turned (EXIF)",
        "not turned: annotations are taken to be made on the pixels as they are stored",
    )
    # ---- what is doubtful ------------------------------------------------------------------------
    LIKELY_CORNERS = (
        Effect.DOUBTFUL,
        "boxes that look like [x1, y1, x2, y2]",
        "taken as [x, y, width, height]: what is learnt is wrong if they are not",
    )
    BOX_OFF_MASK = (
        Effect.DOUBTFUL,
        "box that does not fit its mask",
        "trained on: the box as it is, and of the mask what lies inside of it",
    )
    OTHER_AREA = (
        Effect.DOUBTFUL,
        "area that is not the mask's",
        "not used in training; evaluation sorts objects by it into small, medium and large",
    )
    TINY_OBJECT = (
        Effect.DOUBTFUL,
        "object smaller than 4 x 4 pixels",
        "trained on, though the finest features see one pixel in 4 x 4 of the resized image",
    )
    REPEATED_OBJECT = (
        Effect.DOUBTFUL,
        "object that is annotated twice",
        "trained on twice; of two in evaluation one is always missed",
    )
    MANY_OBJECTS = (
        Effect.DOUBTFUL,
        "image of more than 100 objects",
        "trained on: every image of every batch gets as many slots as the fullest image needs; "
        "evaluation takes 100 detections of an image, so some must be missed",
    )
    REPEATED_FILE_NAME = (
        Effect.DOUBTFUL,
        "image file that several images share",
        "each is trained on with its own objects; those of the others count as background",
    )
    MISNAMED_IMAGE = (
        Effect.DOUBTFUL,
        "image whose name says another format",
        "read by what it is",
    )
    REPEATED_CATEGORY_NAME = (
        Effect.DOUBTFUL,
        "name that several categories share",
        "each is a class of its own",
    )
    EMPTY_CATEGORY = (
        Effect.DOUBTFUL,
        "category without objects",
        "a class that is never seen; left out of the mean AP",
    )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong where (file and record, as far as known), and the mend."""

    kind: Kind
    text: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


class DataError(InputError):
    """A rule that could not go on. It is one problem, and reads like it."""

    def __init__(self, kind: Kind, text: str, where: str = "") -> None:
        super().__init__(kind, text, where)  # what an exception is made of again in other processes
        self.problem = Problem(kind=kind, text=text, where=where)

    def __str__(self) -> str:
        return str(self.problem)


Report: TypeAlias = Callable[[Problem], None]


def raise_if_it_stops(problem: Problem) -> None:
    """The report of who wants sound data, and takes the rest as it is."""
    if problem.kind.effect is Effect.STOPS:
        raise DataError(problem.kind, problem.text, where=problem.where)


def attempt(report: Report, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What ``read`` returns; None where it raised a ``DataError`` and reporting that did not."""
    try:
        return read(*args, **kwargs)
    except DataError as error:
        report(error.problem)
        return None
