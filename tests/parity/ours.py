"""What our detector computes in float64, with the stages between input and output."""

import dataclasses
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax.convert.loading import load_weights
from maskrcnn_jax.convert.weights import Weights
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.structures import Batch, Detections, Proposals
from maskrcnn_jax.training.state import initial_variables, merge, split

# By the names that the detector gives its parts.
_STAGES = (("neck", "__call__"), ("rpn", "predict"))


class Prediction(NamedTuple):
    """All stages of one image, without padded entries. ``proposals`` is None without an RPN."""

    features: dict[int, np.ndarray]  # level -> [h, w, c]
    proposals: Proposals | None
    detections: Detections


class Gradients(NamedTuple):
    """The losses, and the gradients of their sum by canonical names: trained parameters only."""

    losses: dict[str, float]
    gradients: dict[str, np.ndarray]


def load(weights: Weights, *, config: AnyDetectorConfig) -> Any:
    """The detector's variables with these weights, float64; all of them must find a place."""
    template = jax.eval_shape(functools.partial(initial_variables, config.build(), seed=0))
    with jax.enable_x64(True):
        return load_weights(template, weights, backbone_norm=config.backbone.norm)


def predict(variables: Any, batch: Batch, *, config: AnyDetectorConfig) -> Prediction:
    """Every stage of the inference on a batch of one image."""
    with jax.enable_x64(True):
        detections, stages = jax.tree.map(
            lambda x: np.asarray(x[0]), _predict(variables, batch, config=config)
        )
    proposals = stages.get("rpn", {}).get("predict")
    return Prediction(
        features=stages["neck"]["__call__"],
        proposals=None if proposals is None else _only_valid(proposals),
        detections=_only_valid(detections),
    )


def gradients(variables: Any, batch: Batch, *, config: AnyDetectorConfig) -> Gradients:
    """Losses and gradients of a batch."""
    with jax.enable_x64(True):
        losses, trained = _losses_and_gradients(variables, batch, config=config)
    return Gradients(
        losses={name: float(loss) for name, loss in losses.items()},
        gradients={"/".join(path): np.asarray(x) for path, x in flatten_dict(trained).items()},
    )


def sampling_everything(
    config: MaskRCNNConfig, *, num_proposals: int, num_positives: int
) -> MaskRCNNConfig:
    """The config with every anchor and every proposal among the samples: nothing is random.

    ``num_positives`` is how many RoIs of an image are positive. The mask head has a place for so
    many: one for every RoI would multiply the time of a training step.
    """
    rpn = dataclasses.replace(
        config.rpn,
        sampling=dataclasses.replace(
            config.rpn.sampling, num_samples=100_000, positive_fraction=1.0
        ),
        train_proposals=dataclasses.replace(config.rpn.train_proposals, after_nms=num_proposals),
    )
    num_samples = 2**17  # a power of two: the fraction gives back the exact number
    sampling = dataclasses.replace(
        config.roi.sampling, num_samples=num_samples, positive_fraction=num_positives / num_samples
    )
    roi = dataclasses.replace(config.roi, sampling=sampling)
    return dataclasses.replace(config, rpn=rpn, roi=roi)


@functools.partial(jax.jit, static_argnames="config")
def _predict(variables: Any, batch: Batch, *, config: AnyDetectorConfig) -> Any:
    def is_stage(module: nn.Module, method: str) -> bool:
        return (module.name, method) in _STAGES

    detections, captured = config.build().apply(
        variables,
        batch,
        method="predict",
        mutable=["intermediates"],
        capture_intermediates=is_stage,
    )
    stages = {  # each has been called once
        part: {method: calls[0] for method, calls in methods.items()}
        for part, methods in captured["intermediates"].items()
    }
    return detections, stages


@functools.partial(jax.jit, static_argnames="config")
def _losses_and_gradients(variables: Any, batch: Batch, *, config: AnyDetectorConfig) -> Any:
    params, constants = split(variables, config.frozen_modules())
    keys = jax.random.split(jax.random.key(0), batch.valid.shape[0])

    def objective(params: Any) -> tuple[Any, dict[str, jax.Array]]:
        terms: Any = config.build().apply(merge(params, constants), batch, keys, method="loss")
        losses = {name: term.mean for name, term in terms.items()}
        return sum(losses.values()), losses

    (_, losses), trained = jax.value_and_grad(objective, has_aux=True)(params)
    return losses, trained


def _only_valid(found: Any) -> Any:
    return jax.tree.map(lambda x: x[found.valid], found)
