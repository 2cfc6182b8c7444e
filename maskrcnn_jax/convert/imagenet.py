"""ImageNet weights for a backbone, from an npz with norms folded into the convolutions.

Such a file has ``NAME.weight`` (OIHW) and ``NAME.bias`` for every convolution, with torchvision's
names, and the classifier ``fc``, which a detector has no place for. A folded norm becomes a frozen
one that only adds the bias.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from numpy.lib.npyio import NpzFile

from maskrcnn_jax.errors import InputError, did_you_mean
from maskrcnn_jax.norms import FrozenBatchNormConfig, NormConfig

_UNUSED: tuple[str, ...] = ("fc.weight", "fc.bias")


def load_folded_backbone(
    path: Path, variables: dict[str, Any], *, norm: NormConfig
) -> dict[str, Any]:
    """Returns ``variables`` of a detector with those of its ResNet replaced by the file's.

    Raises InputError if the file cannot be read, a tensor is missing, has another shape or finds
    no place.
    """
    if not isinstance(norm, FrozenBatchNormConfig):
        raise InputError(
            f"{path}: these weights have their norms folded in and need a backbone with frozen "
            f"norms, not {type(norm).__name__}"
        )
    tensors = _read(path)
    all_variables: dict[tuple[str, ...], Any] = flatten_dict(variables)
    replaced, used = {}, set(_UNUSED)
    for place, old in all_variables.items():
        if place[1] != "backbone":
            continue
        name, leaf = _source_name(place[2:-1]), place[-1]
        if leaf in ("kernel", "bias"):
            key = f"{name}.{'weight' if leaf == 'kernel' else 'bias'}"
            new = _tensor(path, tensors, key)
            new = new.transpose(2, 3, 1, 0) if leaf == "kernel" and new.ndim == 4 else new
            used.add(key)
        else:
            new = np.full(old.shape, {"scale": 1, "mean": 0, "var": 1 - norm.epsilon}[leaf])
        if new.shape != old.shape:
            raise InputError(
                f"{path}: {name} has shape {new.shape} (HWIO), the model's {'/'.join(place)} "
                f"{old.shape}; is it another ResNet?"
            )
        replaced[place] = jnp.asarray(new, old.dtype)
    unused = sorted(tensors.keys() - used)
    if unused:
        raise InputError(f"{path}: the model has no place for {', '.join(unused[:5])}")
    return unflatten_dict(all_variables | replaced)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as tensors:
            return dict(tensors)
    except FileNotFoundError:
        raise InputError(f"--init.backbone: {path} does not exist") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"--init.backbone: {path} is not a readable npz file: {error}") from None


def _tensor(path: Path, tensors: dict[str, np.ndarray], key: str) -> np.ndarray:
    if key not in tensors:
        raise InputError(f"{path}: tensor {key!r} is missing.{did_you_mean(key, tensors)}")
    return tensors[key]


def _source_name(module: tuple[str, ...]) -> str:
    """torchvision's name of a convolution, or of the one whose norm this is."""
    if module[0] == "stem":
        return "conv1"
    stage, block, part = module
    layer = f"layer{int(stage.removeprefix('res')) - 1}.{block.removeprefix('block')}"
    if part.startswith("shortcut"):
        return f"{layer}.downsample.0"
    return f"{layer}.conv{part[-1]}"
