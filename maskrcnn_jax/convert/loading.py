"""Weights into the variables of a model: everything finds its place, or nothing is done."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax.convert import detectron2, heads, imagenet
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.weights import Weights, canonical_name
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.norms import FrozenBatchNormConfig, NormConfig
from maskrcnn_jax.training.state import initial_variables

# Systems whose norms may lack statistics, folded into the rest.
_FOLDABLE = (imagenet.FOLDED_BACKBONE, detectron2.CAFFE2_BACKBONE)


def load_detector(
    weights: Weights, config: AnyDetectorConfig, *, init: InitConfig | None = None
) -> dict[str, Any]:
    """The variables of a whole detector, to predict with.

    Raises InputError for those of a backbone alone, and where heads would be left random.
    """
    init = init or InitConfig()
    if init.new_classes:
        raise InputError("init.new_classes leaves layers random: it is for training only")
    if weights.only_backbone:
        raise InputError(
            f"{weights.where} ({weights.naming.system}) holds no detector; train one from it with "
            "train.py"
        )
    model = config.build()
    if init.allow_missing:
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
    replaced: dict[tuple[str, ...], Any] = flatten_dict(variables)
    places = {canonical_name(path): path for path in replaced}
    model = {name: replaced[path] for name, path in places.items()}
    tensors = _adapted(weights, model, backbone_norm)
    left_out = heads.class_layers(tensors) if init.new_classes else frozenset()
    wanted = [
        name
        for name in places
        if name not in left_out and (name.startswith("backbone/") or not weights.only_backbone)
    ]
    found = {name: tensors[name] for name in wanted if name in tensors}
    problems = [
        *_problems_of_names(weights, init, given=tensors, wanted=wanted, places=places),
        *_problems_of_arrays(found, weights, model),
    ]
    if problems:
        raise InputError(
            f"{weights.where} ({weights.naming.system}) does not fit the model.\n"
            + "\n".join(problems)
        )
    for name, x in found.items():
        replaced[places[name]] = jnp.asarray(x, jnp.result_type(float))
    return unflatten_dict(replaced)


def _adapted(weights: Weights, model: Mapping[str, Any], norm: NormConfig) -> dict[str, np.ndarray]:
    """The tensors with what the model's own heads and norms need."""
    if weights.naming not in _FOLDABLE or not imagenet.is_folded(weights.tensors):
        return heads.like(weights.tensors, model)
    if isinstance(norm, FrozenBatchNormConfig):
        return imagenet.unfolded(weights.tensors, epsilon=norm.epsilon)
    raise InputError(
        f"{weights.where}: these weights have their norms folded in and need a backbone with "
        f"frozen norms, not {type(norm).__name__}"
    )


def _problems_of_names(
    weights: Weights,
    init: InitConfig,
    *,
    given: Mapping[str, Any],
    wanted: Iterable[str],
    places: Mapping[str, Any],
) -> list[str]:
    missing = [weights.their_name(name) for name in wanted if name not in given]
    homeless = [name for name in given if name not in places and name in weights.sources]
    unused = [*weights.unknown, *map(weights.their_name, homeless)]
    missing = [name for name in missing if not _is_allowed(name, init.allow_missing)]
    unused = [name for name in unused if not _is_allowed(name, init.allow_unused)]
    problems = []
    if missing:
        problems += ["Missing (allow-missing NAMES permits it):", _lines(missing)]
    if unused:
        problems += ["Without a place (allow-unused NAMES permits it):", _lines(unused)]
    return problems


def _problems_of_arrays(
    tensors: Mapping[str, np.ndarray], weights: Weights, model: Mapping[str, Any]
) -> list[str]:
    wrong = []
    for name, x in tensors.items():
        their_name, shape = weights.sources.get(name, (name, x.shape))
        if x.shape != model[name].shape:
            wrong.append(
                f"{their_name}: {list(shape)} in the file, which is {list(x.shape)} in this "
                f"program's layout; the model has {list(model[name].shape)}"
            )
        elif not jnp.issubdtype(x.dtype, jnp.floating):
            wrong.append(f"{their_name}: numbers of type {x.dtype}")
    if not wrong:
        return []
    problems = ["Other shapes or numbers:", _lines(wrong)]
    k, wanted = heads.num_classes(tensors), heads.num_classes(model)
    if k and k != wanted:
        problems.append(
            f"The file is for {k} classes (--model.num-classes {k}); to train it for {wanted}, "
            "--init.new-classes True leaves its last layers out."
        )
    return problems


def _is_allowed(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _lines(items: list[str], limit: int = 40) -> str:
    more = [f"and {len(items) - limit} more"] if len(items) > limit else []
    return "\n".join(f"  {item}" for item in [*items[:limit], *more])
