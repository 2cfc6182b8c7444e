"""Where the first weights of a run come from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Without a checkpoint all weights are random."""

    # Weights of a detector or of an ImageNet backbone: a file of Detectron2, torchvision,
    # MMDetection or this program (.pth, .pkl, .safetensors, .npz), or a work directory.
    checkpoint: Path | None = None
    # Names that the file may lack, as the file would have them; * stands for anything.
    allow_missing: tuple[str, ...] = ()
    # Names in the file that may find no place.
    allow_unused: tuple[str, ...] = ()
    # For other classes than the file's: leaves out the layers that have outputs for each class.
    new_classes: bool = False
