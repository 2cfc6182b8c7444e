"""The arrays of the heads whose layout depends on other arrays: all by canonical names.

Shapes: k classes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from maskrcnn_jax.errors import InputError

Tensors = dict[str, np.ndarray]

# Layers with outputs for each class, and how many one class has. Logits always have k + 1 outputs,
# the others k, or one for all classes, or k + 1 where the background has them too.
_LOGITS = {"roi/box_head/classes": 1}
_REFINEMENTS = {"roi/box_head/deltas": 4, "roi/mask_head/predictor": 1}
_CLASS_LAYERS = _LOGITS | _REFINEMENTS

_FIRST_LINEAR = "roi/box_head/fc1/kernel"
_PYRAMID = ("neck/output2/kernel", "rpn/head/conv/kernel")


def channels_last(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """The first linear layer for RoIs flattened as height, width, channel (from c, h, w)."""
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
    if _FIRST_LINEAR not in tensors:
        return dict(tensors)
    kernel = tensors[_FIRST_LINEAR]
    channels = next((tensors[name].shape[-1] for name in _PYRAMID if name in tensors), 0)
    side = round((kernel.shape[0] / channels) ** 0.5) if channels else 0
    if side**2 * channels != kernel.shape[0]:
        raise InputError(
            f"the first linear layer of the box head has {kernel.shape[0]} inputs, which is no "
            f"square of {channels} channels (the outputs of {' or '.join(_PYRAMID)})"
        )
    reordered = unflatten(kernel, channels, side).transpose(*order, 3).reshape(kernel.shape)
    return {**tensors, _FIRST_LINEAR: reordered}


def background_last(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Moves the outputs of class 0, the background, behind those of all others."""
    return _change(tensors, _CLASS_LAYERS, lambda x, width: np.roll(x, -width, axis=-1))


def background_first(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """The inverse of ``background_last``."""
    return _change(tensors, _CLASS_LAYERS, lambda x, width: np.roll(x, width, axis=-1))


def with_background_outputs(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Box deltas and a mask for the background too: zeros where there are none."""
    k = num_classes(tensors)

    def extend(x: np.ndarray, width: int) -> np.ndarray:
        missing = width * (k + 1) - x.shape[-1]
        if missing not in (0, width):
            raise InputError(
                f"boxes or masks with {x.shape[-1]} outputs for {k} classes cannot be expressed "
                "where the background is a class: they are class-agnostic"
            )
        return np.concatenate([x, np.zeros((*x.shape[:-1], missing), x.dtype)], axis=-1)

    return _change(tensors, _REFINEMENTS, extend)


def without_background_outputs(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Box deltas and masks of the k classes only."""
    k = num_classes(tensors)
    return _change(tensors, _REFINEMENTS, lambda x, width: x[..., : width * max(k, 1)])


def like(tensors: Mapping[str, np.ndarray], model: Mapping[str, Any]) -> Tensors:
    """Adds or drops the background's outputs, as ``model`` (arrays by canonical names) has them."""
    outputs = {name.rpartition("/")[0]: x.shape[-1] for name, x in model.items()}
    k = num_classes(model)
    if any(outputs.get(layer) == width * (k + 1) for layer, width in _REFINEMENTS.items()):
        return with_background_outputs(tensors)
    return without_background_outputs(tensors)


def without_class_layers(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """What is left for a detector of other classes."""
    return {name: x for name, x in tensors.items() if not is_class_layer(name)}


def is_class_layer(name: str) -> bool:
    """Whether the array belongs to a layer with outputs for each class."""
    return name.rpartition("/")[0] in _CLASS_LAYERS


def num_classes(tensors: Mapping[str, Any]) -> int:
    """k, or 0 for weights without heads."""
    (logits,) = _LOGITS
    outputs = [x.shape[-1] for name, x in tensors.items() if name.rpartition("/")[0] == logits]
    return outputs[0] - 1 if outputs else 0


def _change(
    tensors: Mapping[str, np.ndarray],
    widths: Mapping[str, int],
    change: Callable[[np.ndarray, int], np.ndarray],
) -> Tensors:
    """Applies change(x, outputs of one class) to the kernels and biases of some layers."""
    places = {name: widths.get(name.rpartition("/")[0]) for name in tensors}
    return {
        name: x if (width := places[name]) is None else change(x, width)
        for name, x in tensors.items()
    }
