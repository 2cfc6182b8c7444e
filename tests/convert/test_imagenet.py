"""ImageNet backbones with folded norms. Loading reads only the shapes of the given variables."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert.detectron2 import CAFFE2_BACKBONE
from maskrcnn_jax.convert.loading import load_weights
from maskrcnn_jax.convert.weights import canonical_name, from_state_dict, read_weights
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.norms import BatchNormConfig, FrozenBatchNormConfig, GroupNormConfig

WIDTH = 4
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
FROZEN = FrozenBatchNormConfig()


def torchvision_shapes(depth):
    """Name and OIHW shape of every convolution of torchvision's resnet.py, stem of ``WIDTH``."""
    shapes = {"conv1": (WIDTH, 3, 7, 7)}
    inputs = WIDTH
    for stage, num_blocks in enumerate(BLOCKS[depth]):
        inner = WIDTH * 2**stage
        outputs = inner * (4 if depth == 50 else 1)
        for block in range(num_blocks):
            layer = f"layer{stage + 1}.{block}"
            if depth == 50:
                shapes[f"{layer}.conv1"] = (inner, inputs, 1, 1)
                shapes[f"{layer}.conv2"] = (inner, inner, 3, 3)
                shapes[f"{layer}.conv3"] = (outputs, inner, 1, 1)
            else:
                shapes[f"{layer}.conv1"] = (inner, inputs, 3, 3)
                shapes[f"{layer}.conv2"] = (inner, inner, 3, 3)
            if block == 0 and inputs != outputs:
                shapes[f"{layer}.downsample.0"] = (outputs, inputs, 1, 1)
            inputs = outputs
    return shapes


def folded_tensors(depth):
    rng = np.random.default_rng(0)
    tensors = {"fc.weight": np.ones((10, 8)), "fc.bias": np.ones(10)}
    for name, shape in torchvision_shapes(depth).items():
        tensors[f"{name}.weight"] = rng.normal(size=shape).astype(np.float16)
        tensors[f"{name}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    return tensors


def detector_shapes(config):
    """Shapes of the variables of a detector: its backbone, and a part the loader must leave."""
    backbone = config.build()
    shapes = jax.eval_shape(backbone.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    variables = {collection: {"backbone": tree} for collection, tree in shapes.items()}
    variables["params"]["neck"] = {"kernel": jnp.ones((1, 1, 2, 2))}
    return variables


def tiny(depth=18, norm=FROZEN):
    return detector_shapes(ResNetConfig(depth=depth, width=WIDTH, norm=norm))


def load(tensors, variables, norm=FROZEN):
    weights = from_state_dict(tensors, where="weights.npz")
    return load_weights(variables, weights, backbone_norm=norm)


def places(name):
    """Where a convolution of torchvision and its norm live in ours."""
    if name == "conv1":
        return ("stem", "conv"), ("stem", "norm")
    stage, block, part = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name).groups()
    where = (f"res{int(stage) + 1}", f"block{block}")
    if part == "downsample.0":
        return (*where, "shortcut"), (*where, "shortcut_norm")
    return (*where, part), (*where, part.replace("conv", "norm"))


def at(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def assert_holds(variables, tensors):
    """Every convolution is in its place, and its frozen norm only adds the bias."""
    for name in {key.rpartition(".")[0] for key in tensors} - {"fc"}:
        conv, norm = places(name)
        kernel = at(variables["params"]["backbone"], conv)["kernel"]
        assert kernel.dtype == jnp.float32
        np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), tensors[f"{name}.weight"])
        frozen = at(variables["frozen"]["backbone"], norm)
        x = jnp.linspace(-3, 3, frozen["bias"].size)
        y = FROZEN.build("norm").apply({"frozen": frozen}, x)
        np.testing.assert_allclose(y, x + tensors[f"{name}.bias"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", BLOCKS)
def test_every_tensor_finds_its_place(depth):
    before, tensors = tiny(depth), folded_tensors(depth)
    after = load(tensors, before)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, before)
    assert_holds(after, tensors)
    assert after["params"]["neck"] == before["params"]["neck"]
    num_convs = len(jax.tree.leaves(after["params"]["backbone"]))
    assert num_convs == len(torchvision_shapes(depth))


def test_a_real_resnet_50(shared):
    path = shared / "weights" / "resnet50_imagenet_folded.npz"
    before = detector_shapes(ResNetConfig(depth=50))
    variables = load_weights(before, read_weights(path), backbone_norm=FROZEN)
    with np.load(path) as file:
        names = ("conv1", "layer1.0.downsample.0", "layer3.5.conv2", "layer4.2.conv3")
        assert_holds(
            variables,
            {
                f"{name}.{part}": file[f"{name}.{part}"]
                for name in names
                for part in ("weight", "bias")
            },
        )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conv1.bias": None}, r"Missing .*\n  conv1\.bias\n"),
        (
            {"conv1.weight": np.zeros((4, 2, 7, 7))},
            r"conv1\.weight: \[4, 2, 7, 7\] in the file.*\[7, 7, 2, 4\].* has \[7, 7, 3, 4\]",
        ),
        (
            {"layer1.0.conv1.bias": np.zeros(5)},
            r"layer1\.0\.conv1\.bias: \[5\] in the file.* the model has \[4\]",
        ),
        ({"conv1.weight": np.zeros((4, 3, 49))}, r"conv1\.weight has shape \[4, 3, 49\]"),
        (
            {"layer5.0.conv1.weight": np.zeros(1)},
            r"Without a place .*\n  layer5\.0\.conv1\.weight$",
        ),
    ],
    ids=["missing", "kernel shape", "bias shape", "number of axes", "unused"],
)
def test_a_file_that_does_not_fit_the_model(changed, message):
    tensors = folded_tensors(18) | changed
    with pytest.raises(InputError, match=rf"(?s)weights\.npz.*{message}"):
        load({name: x for name, x in tensors.items() if x is not None}, tiny())


def test_the_weights_of_a_deeper_resnet():
    with pytest.raises(InputError, match=r"layer1\.0\.conv3\.weight"):
        load(folded_tensors(50), tiny(18))


@pytest.mark.parametrize("norm", [GroupNormConfig(groups=2), BatchNormConfig()])
def test_a_backbone_without_frozen_norms(norm):
    with pytest.raises(InputError, match=f"frozen norms, not {type(norm).__name__}"):
        load(folded_tensors(18), tiny(), norm=norm)


def test_norms_with_their_statistics_can_be_trained_on():
    """Caffe2's names are those of folded norms and of whole ones."""
    norm = BatchNormConfig()
    config = ResNetConfig(depth=18, width=WIDTH, norm=norm, frozen_stages=0)
    before, rng = detector_shapes(config), np.random.default_rng(0)
    backbone = {
        canonical_name(path): rng.uniform(size=x.shape).astype(np.float32)
        for path, x in flatten_dict(before).items()
        if path[1] == "backbone"
    }
    after = load(CAFFE2_BACKBONE.to_theirs(backbone), before, norm=norm)
    found = {canonical_name(path): x for path, x in flatten_dict(after).items()}
    for name, x in backbone.items():
        np.testing.assert_array_equal(found[name], x)
