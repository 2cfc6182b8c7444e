"""A small detector, and its weights as each system would name them."""

import dataclasses
import functools

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax.convert import detectron2, mmdetection, torchvision
from maskrcnn_jax.convert.weights import NAMINGS
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig
from maskrcnn_jax.training.state import initial_variables
from tests.tiny import as_cascade, as_htc, point_rend, tiny_config

CASCADES = ("detectron2", "mmdetection")  # systems that have them
POINT_RENDS = CASCADES
SYSTEMS = {module.NAMING.system: module for module in (detectron2, torchvision, mmdetection)}


def small_model(*, background: bool = False, class_agnostic: bool = False) -> MaskRCNNConfig:
    """``tests.tiny`` without norms in the mask head."""
    config = tiny_config()
    assert isinstance(config.roi.mask, FCNMaskHeadConfig)
    mask = dataclasses.replace(
        config.roi.mask, norm=None, background_mask=background, class_agnostic=class_agnostic
    )
    box = dataclasses.replace(
        config.roi.box, background_deltas=background, class_agnostic=class_agnostic
    )
    return dataclasses.replace(config, roi=dataclasses.replace(config.roi, box=box, mask=mask))


def small_scoring() -> MaskRCNNConfig:
    """The small model with a head that judges its masks."""
    config = small_model()
    assert isinstance(config.roi.mask, FCNMaskHeadConfig)
    mask = MaskScoringConfig(head=config.roi.mask, channels=6, hidden=10)
    return dataclasses.replace(config, roi=dataclasses.replace(config.roi, mask=mask))


def small_cascade(system: str) -> MaskRCNNConfig:
    """Its parts in the cascade of a system."""
    return as_cascade(small_model(), SYSTEMS[system])


def small_hybrid() -> MaskRCNNConfig:
    """Its parts in Hybrid Task Cascade."""
    return as_htc(small_model())


def small_point_rend() -> MaskRCNNConfig:
    """The small model with PointRend as its mask head."""
    config = small_model()
    return dataclasses.replace(config, roi=dataclasses.replace(config.roi, mask=point_rend()))


def canonical(variables) -> dict[str, np.ndarray]:
    return {"/".join(path[1:]): np.asarray(x) for path, x in flatten_dict(variables).items()}


def random_variables(config: MaskRCNNConfig, seed: int = 0):
    """Variables of which no two have an equal value, and which give finite numbers."""
    rng = np.random.default_rng(seed)

    def draw(path, x):
        values = (
            rng.uniform(0.5, 1.5, x.shape) if path[-1].key == "var" else rng.normal(0, 0.1, x.shape)
        )
        return values.astype(np.float32)

    return jax.tree.map_with_path(draw, _shapes(config))


@functools.cache
def _shapes(config: MaskRCNNConfig):
    return jax.eval_shape(lambda: initial_variables(config.build(), seed=0))


def state_dict(system: str, config: MaskRCNNConfig, seed: int = 0) -> dict[str, np.ndarray]:
    naming = next(naming for naming in NAMINGS if naming.system == system)
    return naming.to_theirs(canonical(random_variables(config, seed)))
