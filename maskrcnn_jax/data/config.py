"""How images become batches: the part of a config that the input pipeline reads."""

from dataclasses import dataclass, field

from maskrcnn_jax.data.colours import ColourJitterConfig
from maskrcnn_jax.data.copy_paste import CopyPasteConfig
from maskrcnn_jax.data.sizes import SIZE_MULTIPLE, Size
from maskrcnn_jax.data.views import LargeScaleJitterConfig, RandomCropConfig
from maskrcnn_jax.errors import check_options
from maskrcnn_jax.structures import UNKNOWN_LABEL


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """Sizes are (height, width). Batch sizes are global: over all processes and devices.

    ``docs/recipes.md`` says what the random changes of training images do; all are off by default
    but for the flip.
    """

    batch_size: int
    eval_batch_size: int
    # In training each image draws one of these for its short side.
    short_sides: tuple[int, ...]
    # The short side in evaluation and prediction.
    eval_short_side: int
    # The short side is made smaller where the long side would exceed this.
    long_side: int
    # Each image is padded to the smallest of these that holds it; each compiles the model once.
    padded_sizes: tuple[Size, ...]
    # Share of the training images that are mirrored.
    flip_probability: float = 0.5
    # In place of short_sides, long_side and padded_sizes in training.
    jitter: LargeScaleJitterConfig = field(default_factory=LargeScaleJitterConfig)
    crop: RandomCropConfig = field(default_factory=RandomCropConfig)
    colour: ColourJitterConfig = field(default_factory=ColourJitterConfig)
    copy_paste: CopyPasteConfig = field(default_factory=CopyPasteConfig)
    # Images with a category that fewer than this share of the images have are shown more often
    # (LVIS: 0.001); 0: none.
    repeat_threshold: float = 0.0
    # Cells along each side of a ground-truth mask's bitmap.
    mask_size: int = 112
    # Classes of the semantic maps that come with the training images, from
    # ROOT/stuffthingmaps/SPLIT (COCO-Stuff: 183). None: there are no maps.
    semantic_labels: int | None = None
    # Ground-truth slots of an image. None: as many as the fullest image of the data set needs, and
    # with copy-paste twice as many. Objects are pasted while there are slots.
    max_objects: int | None = None
    # Whether to train on images without objects too.
    keep_empty: bool = False
    # Processes that make batches, one thread each; 0: num_threads threads of the training process.
    num_workers: int = 0
    # Threads that make batches where there are no such processes.
    num_threads: int = 4

    def __post_init__(self) -> None:
        sides = [side for size in self.padded_sizes for side in size]
        pairs = f"pairs (height, width) of positive multiples of {SIZE_MULTIPLE}"
        check_options(
            self,
            batch_size=(self.batch_size >= 1, "at least 1"),
            eval_batch_size=(self.eval_batch_size >= 1, "at least 1"),
            short_sides=(min(self.short_sides, default=0) >= 1, "one or more positive numbers"),
            eval_short_side=(self.eval_short_side >= 1, "at least 1"),
            long_side=(self.long_side >= 1, "at least 1"),
            padded_sizes=(
                min(sides, default=0) > 0 == sum(s % SIZE_MULTIPLE for s in sides),
                pairs,
            ),
            flip_probability=(0 <= self.flip_probability <= 1, "between 0 and 1"),
            repeat_threshold=(0 <= self.repeat_threshold <= 1, "between 0 and 1"),
            mask_size=(self.mask_size >= 1, "at least 1"),
            semantic_labels=(
                self.semantic_labels is None or 1 <= self.semantic_labels <= UNKNOWN_LABEL,
                f"between 1 and {UNKNOWN_LABEL}",
            ),
            max_objects=(self.max_objects is None or self.max_objects >= 1, "at least 1"),
            num_workers=(self.num_workers >= 0, "at least 0"),
            num_threads=(self.num_threads >= 1, "at least 1"),
        )

    def training_padded_sizes(self) -> tuple[Size, ...]:
        """The sizes of training batches; evaluation has ``padded_sizes``."""
        return self.padded_sizes if self.jitter.scales is None else (self.jitter.size,)
