"""The backbone: cases of torchvision's test_ops.py and test_models_detection_utils.py."""

import jax
import numpy as np
import pytest

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.norms import FrozenBatchNormConfig
from maskrcnn_jax.training.state import split


@pytest.mark.parametrize("seed", range(10))
def test_frozenbatchnorm2d_eps(seed):
    rng = np.random.default_rng(seed)
    x = rng.random((4, 28, 28, 32)).astype(np.float32)
    vectors = {name: rng.random(32, np.float32) for name in ("scale", "bias", "mean", "var")}
    norm = FrozenBatchNormConfig(epsilon=1e-5).build("norm")
    y = jax.jit(norm.apply)({"frozen": vectors}, x)
    deviation = np.sqrt(vectors["var"].astype(float) + 1e-5)
    expected = (x - vectors["mean"]) / deviation * vectors["scale"] + vectors["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("trainable_layers", "num_frozen"), [(0, 53), (1, 43), (2, 24), (3, 11), (4, 1), (5, 0)]
)
def test_resnet_fpn_backbone_frozen_layers(trainable_layers, num_frozen):
    """How many of the convolutions of a ResNet-50 are not trained."""
    config = ResNetConfig(depth=50, frozen_stages=5 - trainable_layers)
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    variables = jax.eval_shape(config.build().init, jax.random.key(0), images)
    _, constants = split(variables, [(name,) for name in config.frozen_modules()])
    assert len(jax.tree.leaves(constants["params"])) == num_frozen
