"""Configuration of the shapes. ``build`` draws and stores a split once, and opens it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.shapes.builder import Shapes
from maskrcnn_jax.data.shapes.records import SPLITS, DrawnRecords, drawn_dataset
from maskrcnn_jax.data.storage import stored_dataset
from maskrcnn_jax.errors import InputError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class ShapesConfig:
    """Square images with 1 to 8 shapes of 6 classes. The same seed gives the same images."""

    train_split: ClassVar[str] = "train"
    eval_split: ClassVar[str] = "val"
    image_size: int = 128
    num_train: int = 2000
    num_eval: int = 200
    seed: int = 0
    # Where the stored data sets go. None: $TFDS_DATA_DIR, or else ~/tensorflow_datasets.
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        least = {"image_size": 32, "num_train": 1, "num_eval": 1, "seed": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise InputError(f"{name} must be at least {value}, not {getattr(self, name)}.")

    def build(self, split: str) -> Dataset:
        return stored_dataset(Shapes(self._records(split), cache_dir=self.cache_dir))

    def draw(self, split: str) -> Dataset:
        """The split without storing it: each record is drawn when it is asked for."""
        return drawn_dataset(self._records(split))

    def _records(self, split: str) -> DrawnRecords:
        if split not in SPLITS:
            raise InputError(f"the shapes have no split {split!r}.{did_you_mean(split, SPLITS)}")
        return DrawnRecords(
            split=split,
            num_images=self.num_train if split == self.train_split else self.num_eval,
            image_size=self.image_size,
            seed=self.seed,
        )
