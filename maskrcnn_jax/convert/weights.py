"""Weights of any known system, and their way into a model's variables."""

import dataclasses
import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax.convert import detectron2, heads, imagenet, mmdetection, torchvision
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.files import read_tensors, write_tensors
from maskrcnn_jax.convert.naming import Naming
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.norms import FrozenBatchNormConfig, NormConfig
from maskrcnn_jax.serialization import from_json, to_json
from maskrcnn_jax.training.checkpoint import Run, load_trained
from maskrcnn_jax.training.state import initial_variables

_RUN = "run"  # the entry of a file's metadata

# Files with canonical names.
OURS = Naming(system="maskrcnn_jax", rules=())

NAMINGS: tuple[Naming, ...] = (
    detectron2.NAMING,
    detectron2.BACKBONE,
    torchvision.NAMING,
    torchvision.BACKBONE,
    mmdetection.NAMING,
    imagenet.FOLDED_BACKBONE,
)
_BACKBONES = (detectron2.BACKBONE, torchvision.BACKBONE, imagenet.FOLDED_BACKBONE)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Arrays by canonical names, and by which ``naming`` they came.

    ``unknown`` are the names of arrays that have no place in any detector of ours. ``where`` names
    the source in errors. ``run`` says of our own weights how they came about.
    """

    tensors: dict[str, np.ndarray]
    naming: Naming
    unknown: tuple[str, ...]
    where: str
    run: Run | None = None

    @property
    def only_backbone(self) -> bool:
        return self.naming in _BACKBONES

    def their_name(self, canonical: str) -> str:
        """The name of an array in its source, or ours where it has none there."""
        return self.naming.their_name(canonical) or canonical


def read_weights(path: Path) -> Weights:
    """Reads a file of any known container and system, or the newest checkpoint of a run.

    Both the container and the system are recognised by the content.
    """
    if path.is_dir():
        run, variables = load_trained(path)
        return from_variables(variables, run, where=str(path))
    file = read_tensors(path)
    weights = from_state_dict(file.tensors, where=str(path))
    if _RUN not in file.metadata:
        return weights
    run = from_json(Run, json.loads(file.metadata[_RUN]), where=f"{path}: {_RUN}")
    return dataclasses.replace(weights, run=run)


def from_variables(variables: Mapping[str, Any], run: Run, *, where: str) -> Weights:
    """The variables of one of our own models."""
    tensors = {_canonical(path): np.asarray(x) for path, x in flatten_dict(variables).items()}
    return Weights(tensors=tensors, naming=OURS, unknown=(), where=where, run=run)


def write_weights(weights: Weights, path: Path, *, naming: Naming) -> None:
    """Writes them by the names and in the layouts of a system; the suffix says the container.

    A file with our own names also gets the run, from which everything else can be rebuilt.
    Raises InputError for what has no name there.
    """
    if naming is not OURS:
        write_tensors(path, naming.to_theirs(weights.tensors))
        return
    metadata = {} if weights.run is None else {_RUN: json.dumps(to_json(weights.run))}
    write_tensors(path, weights.tensors, metadata=metadata)


def from_state_dict(tensors: Mapping[str, np.ndarray], *, where: str) -> Weights:
    """Recognises the system: the one that has a place for most of the names.

    Raises InputError if there is none, or an array has another number of axes than it should.
    """
    if all("/" in name for name in tensors):
        return Weights(tensors=dict(tensors), naming=OURS, unknown=(), where=where)

    def num_known(naming: Naming) -> int:
        return sum(naming.canonical_name(name) is not None for name in tensors)

    naming = max(NAMINGS, key=num_known)
    if num_known(naming) == 0:
        raise InputError(
            f"{where}: the names ({_some(tensors)}) are of no system that is known here: "
            f"{', '.join(naming.system for naming in NAMINGS)}"
        )
    unknown = [n for n in tensors if not (naming.canonical_name(n) or naming.is_ignored(n))]
    try:
        canonical = naming.to_ours(tensors)
    except (InputError, ValueError) as error:
        raise InputError(f"{where}: {error}") from None
    return Weights(tensors=canonical, naming=naming, unknown=tuple(unknown), where=where)


def load_detector(
    weights: Weights, config: MaskRCNNConfig, *, init: InitConfig | None = None
) -> dict[str, Any]:
    """The variables of a whole detector. Raises InputError for those of a backbone alone."""
    if weights.only_backbone:
        raise InputError(
            f"{weights.where} ({weights.naming.system}) holds no detector; train one from it with "
            "train.py"
        )
    init = init or InitConfig()
    model = config.build()
    if init.allow_missing or init.new_classes:
        variables = initial_variables(model, seed=0)
    else:  # every value comes from the weights
        variables = jax.eval_shape(lambda: initial_variables(model, seed=0))
    return load_weights(variables, weights, backbone_norm=config.backbone.norm, init=init)


def load_weights(
    variables: Mapping[str, Any],
    weights: Weights,
    *,
    backbone_norm: NormConfig,
    init: InitConfig | None = None,
) -> dict[str, Any]:
    """Returns ``variables`` of a detector with their values replaced by those of ``weights``.

    Floating-point arrays of any precision become float32 (float64 under x64). A file that holds
    only a backbone leaves the rest as it is.

    Raises InputError that lists what is missing, has no place or another shape.
    """
    init = init or InitConfig()
    tensors = _adapted(weights, variables, backbone_norm, init)
    places = {_canonical(path): path for path in flatten_dict(variables)}
    wanted = [name for name in places if _is_wanted(name, weights, init)]
    _check_names(weights, init, given=tensors, wanted=wanted, places=places)
    replaced: dict[tuple[str, ...], Any] = flatten_dict(variables)
    mismatches = []
    for name in wanted:
        if name not in tensors:
            continue
        old, new = replaced[places[name]], tensors[name]
        if old.shape != new.shape:
            mismatches.append(
                f"{weights.their_name(name)}: {list(new.shape)} in the file, {list(old.shape)} "
                "in the model (both in this program's layout)"
            )
        elif not jnp.issubdtype(new.dtype, jnp.floating):
            mismatches.append(f"{weights.their_name(name)}: numbers of type {new.dtype}")
        else:
            replaced[places[name]] = jnp.asarray(new, jnp.result_type(float))
    if mismatches:
        raise InputError(f"{weights.where} does not fit the model:\n{_lines(mismatches)}")
    return unflatten_dict(replaced)


def _adapted(
    weights: Weights, variables: Mapping[str, Any], norm: NormConfig, init: InitConfig
) -> dict[str, np.ndarray]:
    """The tensors with what the model's own heads and norms need."""
    tensors = weights.tensors
    if weights.naming is imagenet.FOLDED_BACKBONE:
        if not isinstance(norm, FrozenBatchNormConfig):
            raise InputError(
                f"{weights.where}: these weights have their norms folded in and need a backbone "
                f"with frozen norms, not {type(norm).__name__}"
            )
        tensors = imagenet.unfolded(tensors, epsilon=norm.epsilon)
    if init.new_classes:
        return heads.without_class_layers(tensors)
    ours = {_canonical(path): x for path, x in flatten_dict(variables).items()}
    return heads.like(tensors, ours)


def _is_wanted(name: str, weights: Weights, init: InitConfig) -> bool:
    if weights.only_backbone and not name.startswith("backbone/"):
        return False
    return not (init.new_classes and heads.is_class_layer(name))


def _check_names(
    weights: Weights,
    init: InitConfig,
    *,
    given: Mapping[str, Any],
    wanted: Iterable[str],
    places: Mapping[str, Any],
) -> None:
    missing = [weights.their_name(name) for name in wanted if name not in given]
    unused = [*weights.unknown, *(weights.their_name(n) for n in given if n not in places)]
    missing = [name for name in missing if not _is_allowed(name, init.allow_missing)]
    unused = [name for name in unused if not _is_allowed(name, init.allow_unused)]
    if missing or unused:
        text = f"{weights.where} ({weights.naming.system}) does not fit the model."
        if missing:
            text += f"\nMissing (--init.allow-missing NAMES permits it):\n{_lines(missing)}"
        if unused:
            text += f"\nWithout a place (--init.allow-unused NAMES permits it):\n{_lines(unused)}"
        raise InputError(text)


def _is_allowed(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _canonical(path: tuple[str, ...]) -> str:
    return "/".join(path[1:])


def _lines(items: list[str], limit: int = 40) -> str:
    more = [f"and {len(items) - limit} more"] if len(items) > limit else []
    return "\n".join(f"  {item}" for item in [*items[:limit], *more])


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:3]) + ", ..."
