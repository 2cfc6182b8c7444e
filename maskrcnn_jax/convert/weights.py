"""Weights of any known system: recognised, read and written."""

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax.convert import detectron2, imagenet, mmdetection, torchvision
from maskrcnn_jax.convert.files import read_tensors, write_tensors
from maskrcnn_jax.convert.naming import Naming
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.serialization import from_json, to_json
from maskrcnn_jax.training.checkpoint import Run, load_trained

_RUN = "maskrcnn_jax.run"  # the entry of a file's metadata

# Files with canonical names.
OURS = Naming(system="maskrcnn_jax", rules=())

NAMINGS: tuple[Naming, ...] = (
    detectron2.NAMING,
    detectron2.BACKBONE,
    detectron2.CAFFE2_BACKBONE,
    torchvision.NAMING,
    torchvision.BACKBONE,
    mmdetection.NAMING,
    imagenet.FOLDED_BACKBONE,
)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Arrays by canonical names, and by which ``naming`` they came.

    ``sources`` has the name and shape that each array had in its file. ``unknown`` are the names of
    arrays that have no place in any detector of ours. ``where`` names the source in errors. ``run``
    says of our own weights how they came about.
    """

    tensors: dict[str, np.ndarray]
    sources: dict[str, tuple[str, tuple[int, ...]]]
    naming: Naming
    unknown: tuple[str, ...]
    where: str
    run: Run | None = None

    @property
    def only_backbone(self) -> bool:
        """Whether there is nothing of a detector but its backbone."""
        return all(name.startswith("backbone/") for name in self.tensors)

    def their_name(self, canonical: str) -> str:
        """The name of an array in its source, or ours where it has none there."""
        if canonical in self.sources:
            return self.sources[canonical][0]
        return self.naming.their_name(canonical) or canonical

    def backbone_alone(self) -> "Weights":
        """Without the rest of a detector."""
        tensors = {name: x for name, x in self.tensors.items() if name.startswith("backbone/")}
        return dataclasses.replace(self, tensors=tensors, unknown=())


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
    try:
        run = json.loads(file.metadata[_RUN])
    except ValueError as error:
        raise InputError(f"{path}: the metadata entry {_RUN} is no JSON: {error}") from None
    run = from_json(Run, run, where=f"{path}: {_RUN}")
    return dataclasses.replace(weights, run=run)


def from_variables(variables: Mapping[str, Any], run: Run, *, where: str) -> Weights:
    """The variables of one of our own models."""
    tensors = {canonical_name(path): np.asarray(x) for path, x in flatten_dict(variables).items()}
    return dataclasses.replace(_our_own(tensors, where), run=run)


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

    A prefix that all names share (Lightning's "model.") is passed over where that helps. Raises
    InputError if there is none, or an array has another number of axes than it should.
    """
    if all("/" in name for name in tensors):
        return _our_own(tensors, where)

    naming = _best_naming(tensors)
    if naming is None and len({name.partition(".")[0] for name in tensors}) == 1:
        tensors = {name.partition(".")[2] or name: x for name, x in tensors.items()}
        naming = _best_naming(tensors)
    if naming is None:
        raise InputError(
            f"{where}: the names ({_some(tensors)}) are of no system that is known here: "
            f"{', '.join(naming.system for naming in NAMINGS)}"
        )
    places = {name: naming.canonical_name(name) for name in tensors}
    try:
        canonical = naming.to_ours(tensors)
    except (InputError, ValueError) as error:
        raise InputError(f"{where}: {error}") from None
    return Weights(
        tensors=canonical,
        sources={ours: (n, tensors[n].shape) for n, ours in places.items() if ours is not None},
        naming=naming,
        unknown=tuple(n for n in tensors if places[n] is None and not naming.is_ignored(n)),
        where=where,
    )


def _best_naming(names: Collection[str]) -> Naming | None:
    """The one that knows most of the names, if it knows any."""
    num_known = {
        naming.system: sum(naming.canonical_name(name) is not None for name in names)
        for naming in NAMINGS
    }
    best = max(NAMINGS, key=lambda naming: num_known[naming.system])
    return best if num_known[best.system] else None


def _our_own(tensors: Mapping[str, np.ndarray], where: str) -> Weights:
    sources = {name: (name, x.shape) for name, x in tensors.items()}
    return Weights(tensors=dict(tensors), sources=sources, naming=OURS, unknown=(), where=where)


def canonical_name(path: tuple[str, ...]) -> str:
    """The name of a variable with this path, collection first."""
    return "/".join(path[1:])


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:3]) + ", ..."
