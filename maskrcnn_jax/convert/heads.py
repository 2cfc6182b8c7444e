"""The arrays of the heads whose layout depends on other arrays: all by canonical names.

Each stage of a cascade has a head, ``roi/box_heads_0`` and so on, that is treated as the only one,
``roi/box_head``, of a plain model; so are its mask heads.

Shapes: k classes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from maskrcnn_jax.errors import InputError

Tensors = dict[str, np.ndarray]

_SEMANTIC = "roi/semantic_head/classes"  # its classes are the objects' and one more, or others

# Layers with outputs for each class, and how many one class has. Logits always have k + 1 outputs,
# the others k, or one for all classes, or k + 1 where the background has them too.
_LOGITS = {"roi/box_head/classes": 1}
_REFINEMENTS = {
    "roi/box_head/deltas": 4,
    "roi/mask_head/predictor": 1,
    "roi/mask_head/iou/predictor": 1,
    "roi/mask_head/boundary_outputs/predictor": 1,
}
_CLASS_LAYERS = _LOGITS | _REFINEMENTS
_DENSE_LOGITS = "head/classes"  # of a detector without boxes: k outputs, no background
# PointRend: the outputs go through the rows of one class before the next; every layer of the point
# head has an input for each class.
_COARSE_MASKS, _POINT_HEAD = "roi/mask_head/coarse/predictor", "roi/mask_head/point"

# Linear layers that see flattened RoIs, and the layers one of which gives these their channels.
_FIRST_LINEARS = {
    "roi/box_head/fc1/kernel": ("neck/output2/kernel", "rpn/head/conv/kernel"),
    "roi/mask_head/iou/fc1/kernel": ("roi/mask_head/iou/conv1/kernel",),
    "roi/mask_head/coarse/fc1/kernel": ("roi/mask_head/coarse/conv/kernel",),
}


def channels_last(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """The first linear layers for RoIs flattened as height, width, channel (from c, h, w)."""
    return _reorder_first_linear(
        tensors, lambda x, c, side: x.reshape(c, side, side, -1), (1, 2, 0)
    )


def channels_first(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """The inverse of ``channels_last``."""
    return _reorder_first_linear(
        tensors, lambda x, c, side: x.reshape(side, side, c, -1), (2, 0, 1)
    )


def _reorder_first_linear(
    tensors: Mapping[str, np.ndarray],
    unflatten: Callable[[np.ndarray, int, int], np.ndarray],
    order: tuple[int, int, int],
) -> Tensors:
    outputs = {_of_any_stage(name): x.shape[-1] for name, x in tensors.items() if x.ndim}
    reordered = dict(tensors)
    for name, kernel in tensors.items():
        if (before := _FIRST_LINEARS.get(_of_any_stage(name))) is None:
            continue
        channels = next((outputs[layer] for layer in before if layer in outputs), 0)
        side = round((kernel.shape[0] / channels) ** 0.5) if channels else 0
        if side**2 * channels != kernel.shape[0]:
            raise InputError(
                f"the first linear layer, {name}, has {kernel.shape[0]} inputs, which is no "
                f"square of {channels} channels (the outputs of {' or '.join(before)})"
            )
        ordered = unflatten(kernel, channels, side).transpose(*order, 3)
        reordered[name] = ordered.reshape(kernel.shape)
    return reordered


def background_last(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Moves the outputs of class 0, the background, behind those of all others."""
    return _change(tensors, _CLASS_LAYERS, lambda x, width: np.roll(x, -width, axis=-1))


def background_first(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """The inverse of ``background_last``."""
    return _change(tensors, _CLASS_LAYERS, lambda x, width: np.roll(x, width, axis=-1))


def with_background_outputs(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Box deltas and a mask for the background too: zeros where there are none."""
    return _change(tensors, _REFINEMENTS, _extend(num_classes(tensors)))


def without_background_outputs(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Box deltas and masks of the k classes only."""
    return _change(tensors, _REFINEMENTS, _cut(num_classes(tensors)))


def like(tensors: Mapping[str, np.ndarray], model: Mapping[str, Any]) -> Tensors:
    """Adds or drops the background's outputs, as ``model`` (arrays by canonical names) has them."""
    outputs = {_layer(name): x.shape[-1] for name, x in model.items()}
    k = num_classes(model)
    for layer, width in _REFINEMENTS.items():
        has_background = outputs.get(layer) == width * (k + 1)
        fit = (_extend if has_background else _cut)(num_classes(tensors))
        tensors = _change(tensors, {layer: width}, fit)
    return dict(tensors)


def class_layers(tensors: Mapping[str, Any]) -> frozenset[str]:
    """Names of the arrays with outputs for each class. A cascade refines one box for all.

    Of PointRend's point head that is all.
    """
    k, widths = num_classes(tensors), _CLASS_LAYERS | {_DENSE_LOGITS: 1}
    if num_semantic_classes(tensors) == k + 1:  # those of the objects; others stay
        widths |= {_SEMANTIC: 1}
    return frozenset(
        name
        for name, x in tensors.items()
        if (
            (width := widths.get(_layer(name)))
            and (k == 1 or x.shape[-1] > width)
            and not re.fullmatch(r"roi/box_heads_\d+/deltas", name.rpartition("/")[0])
        )
        or _layer(name) == _COARSE_MASKS
        or _layer(name).startswith(f"{_POINT_HEAD}/")
    )


def num_classes(tensors: Mapping[str, Any]) -> int:
    """k, or 0 for weights without class logits."""
    backgrounds = dict.fromkeys(_LOGITS, 1) | {_DENSE_LOGITS: 0}
    outputs = [
        x.shape[-1] - backgrounds[layer]
        for name, x in tensors.items()
        if (layer := _layer(name)) in backgrounds
    ]
    return outputs[0] if outputs else 0


def is_dense(names: Iterable[str]) -> bool:
    """Whether they are of a detector that judges every cell of a grid, without boxes."""
    return any(_layer(name) == _DENSE_LOGITS for name in names)


def num_stages(names: Iterable[str], kind: Literal["box", "mask"]) -> int:
    """How many heads of a kind a cascade has, by its last one; 0 for the names of a plain model."""
    matches = (re.match(rf"roi/{kind}_heads_(\d+)/", name) for name in names)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)


def hybrid_parts(names: Iterable[str]) -> list[str]:
    """Those of the names that a Hybrid Task Cascade has and another cascade has not."""
    return [n for n in names if re.match(r"roi/(semantic_head|mask_heads_\d+/flow)/", n)]


def first_head(names: Iterable[str], kind: Literal["box", "mask"]) -> str:
    """Where the head is, or that of a cascade's first stage."""
    return f"roi/{kind}_heads_0" if num_stages(names, kind) else f"roi/{kind}_head"


def num_semantic_classes(tensors: Mapping[str, Any]) -> int:
    """Outputs of the semantic branch, 0 where there is none."""
    bias = tensors.get(f"{_SEMANTIC}/bias")
    return 0 if bias is None else bias.shape[-1]


def _extend(k: int) -> Callable[[np.ndarray, int], np.ndarray]:
    def extend(x: np.ndarray, width: int) -> np.ndarray:
        missing = width * (k + 1) - x.shape[-1]
        if k == 0 or missing == 0:
            return x
        if missing != width:
            raise InputError(
                f"boxes or masks with {x.shape[-1]} outputs for {k} classes cannot be expressed "
                "where the background is a class: they are class-agnostic"
            )
        return np.concatenate([x, np.zeros((*x.shape[:-1], missing), x.dtype)], axis=-1)

    return extend


def _cut(k: int) -> Callable[[np.ndarray, int], np.ndarray]:
    return lambda x, width: x[..., : width * k] if k else x


def _layer(name: str) -> str:
    return _of_any_stage(name).rpartition("/")[0]


def _of_any_stage(name: str) -> str:
    """The name that the array has in a model with one stage."""
    return re.sub(r"_heads_\d+/", "_head/", name)


def _change(
    tensors: Mapping[str, np.ndarray],
    widths: Mapping[str, int],
    change: Callable[[np.ndarray, int], np.ndarray],
) -> Tensors:
    """Applies change(x, outputs of one class) to the kernels and biases of some layers."""
    return {
        name: x if (width := widths.get(_layer(name))) is None else change(x, width)
        for name, x in tensors.items()
    }
