"""Where the first weights of a run come from."""

from dataclasses import dataclass
from pathlib import Path

from maskrcnn_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Without a file all weights are random. Both kinds of files may be of Detectron2, torchvision,
    MMDetection or this program (.pth, .pkl, .safetensors, .npz, or a work directory).
    """

    # ImageNet weights, or a detector of which only the backbone is taken.
    backbone: Path | None = None
    # A whole detector; of a file that holds only a backbone, that.
    checkpoint: Path | None = None
    # Names that the file may lack, as the file would have them; * stands for anything.
    allow_missing: tuple[str, ...] = ()
    # Names in the file that may find no place.
    allow_unused: tuple[str, ...] = ()
    # For other classes than the file's: leaves out the layers that have outputs for each class.
    new_classes: bool = False

    def __post_init__(self) -> None:
        if self.backbone is not None and self.checkpoint is not None:
            raise InputError("give either init.backbone or init.checkpoint, not both")
