"""Hybrid Task Cascade in numpy, layer by layer. Only RoIAlign is the project's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.roi.pooling import pool

_MOST_BOXES = 40


def relu(x):
    return np.maximum(x, 0)


def dense(params, x):
    """A linear layer, or a 1x1 convolution."""
    kernel = np.asarray(params["kernel"], np.float64)
    return x @ kernel.reshape(kernel.shape[-2:]) + np.asarray(params["bias"])


def conv3x3(params, x):
    kernel, (_, height, width, _) = np.asarray(params["kernel"], np.float64), x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.asarray(params["bias"]) + sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in np.ndindex(3, 3)
    )


def resized(x, size):
    """Bilinear, with the corners where they are."""
    for axis, new in zip((1, 2), size, strict=True):
        places = np.linspace(0, x.shape[axis] - 1, new)
        old = np.arange(x.shape[axis])
        x = np.apply_along_axis(lambda line, p=places, o=old: np.interp(p, o, line), axis, x)
    return x


def slow_semantic(params, features):
    """Semantic features and logits of a batch."""
    size = features[3].shape[1:3]
    x = sum(
        relu(dense(params[f"lateral{level}"], resized(np.asarray(maps, np.float64), size)))
        for level, maps in features.items()
    )
    x = relu(conv3x3(params["conv1"], x))
    return relu(dense(params["embedding"], x)), dense(params["classes"], x)


@functools.partial(jax.jit, static_argnames="config")
def _pooled(features, boxes, *, config):
    maps = {level: jnp.asarray(x, jnp.float32)[None] for level, x in features.items()}
    return pool(maps, boxes[None], jnp.ones((1, len(boxes)), bool), config=config)[0]


def pooled(features, boxes, config):
    """RoIs of one image."""
    padded = np.zeros((_MOST_BOXES, 4), np.float32)
    padded[: len(boxes)] = boxes
    return np.asarray(_pooled(features, padded, config=config), np.float64)[: len(boxes)]


def with_semantic(features, semantic, boxes, config, semantic_config):
    """RoIs of one image, to which the average of its semantic features is added in each cell."""
    x = pooled(features, boxes, config)
    if semantic is None:
        return x
    fine = pooled({3: semantic}, boxes, semantic_config)
    cells = fine.shape[1] // config.output_size
    for i, j in np.ndindex(config.output_size, config.output_size):
        rows, columns = slice(i * cells, (i + 1) * cells), slice(j * cells, (j + 1) * cells)
        x[:, i, j] += fine[:, rows, columns].mean((1, 2))
    return x


def slow_box_head(params, x):
    """Logits and deltas."""
    x = x.reshape(len(x), -1)
    x = relu(dense(params["fc2"], relu(dense(params["fc1"], x))))
    return dense(params["classes"], x), dense(params["deltas"], x)


def slow_mask_logits(heads, x):
    """The mask logits of all stages for the same RoIs; ``heads`` are their parameters."""
    found, before = [], None
    for params in heads:
        entering = x if before is None else x + relu(dense(params["flow"], before))
        before = relu(conv3x3(params["conv1"], entering))
        kernel, bias = params["upsample"]["kernel"], params["upsample"]["bias"]
        n, side, _, _ = before.shape
        doubled = np.zeros((n, 2 * side, 2 * side, bias.size))
        for i, j in np.ndindex(2, 2):
            doubled[:, i::2, j::2] = before @ np.asarray(kernel[i, j], np.float64) + bias
        found.append(dense(params["predictor"], relu(doubled)))
    return found
