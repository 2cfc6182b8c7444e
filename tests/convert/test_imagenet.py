"""The loader reads shapes only from the variables it is given, so none of them are made here."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert.imagenet import load_folded_backbone
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


@pytest.fixture
def save(tmp_path):
    def save(tensors):
        np.savez(tmp_path / "weights.npz", **tensors)
        return tmp_path / "weights.npz"

    return save


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
def test_every_tensor_finds_its_place(save, depth):
    before, tensors = tiny(depth), folded_tensors(depth)
    after = load_folded_backbone(save(tensors), before, norm=FROZEN)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, before)
    assert_holds(after, tensors)
    assert after["params"]["neck"] == before["params"]["neck"]
    num_convs = len(jax.tree.leaves(after["params"]["backbone"]))
    assert num_convs == len(torchvision_shapes(depth))


def test_a_real_resnet_50(shared):
    path = shared / "weights" / "resnet50_imagenet_folded.npz"
    variables = load_folded_backbone(path, detector_shapes(ResNetConfig(depth=50)), norm=FROZEN)
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
        ({"conv1.bias": None}, r"tensor 'conv1\.bias' is missing\. Did you mean '"),
        (
            {"conv1.weight": np.zeros((4, 2, 7, 7))},
            r"conv1 has shape \(7, 7, 2, 4\).* params/backbone/stem/conv/kernel \(7, 7, 3, 4\)",
        ),
        (
            {"layer1.0.conv1.bias": np.zeros(5)},
            r"layer1\.0\.conv1 has shape \(5,\).*frozen/backbone/res2/block0/norm1/bias \(4,\)",
        ),
        ({"conv1.weight": np.zeros((4, 3, 49))}, r"conv1 has shape \(4, 3, 49\)"),
        (
            {"layer5.0.conv1.weight": np.zeros(1)},
            "the model has no place for layer5.0.conv1.weight",
        ),
    ],
    ids=["missing", "kernel shape", "bias shape", "number of axes", "unused"],
)
def test_a_file_that_does_not_fit_the_model(save, changed, message):
    tensors = folded_tensors(18) | changed
    path = save({name: x for name, x in tensors.items() if x is not None})
    with pytest.raises(InputError, match=rf"weights\.npz: {message}"):
        load_folded_backbone(path, tiny(), norm=FROZEN)


def test_the_weights_of_a_deeper_resnet(save):
    with pytest.raises(InputError, match="is it another ResNet"):
        load_folded_backbone(save(folded_tensors(50)), tiny(18), norm=FROZEN)


@pytest.mark.parametrize("norm", [GroupNormConfig(groups=2), BatchNormConfig()])
def test_a_backbone_without_frozen_norms(save, norm):
    with pytest.raises(InputError, match=f"frozen norms, not {type(norm).__name__}"):
        load_folded_backbone(save(folded_tensors(18)), {}, norm=norm)


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"none\.npz does not exist"):
        load_folded_backbone(tmp_path / "none.npz", {}, norm=FROZEN)


def save_array(path):
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def save_objects(path):
    np.savez(path, a=np.array([{}, None]))


def save_half(path):
    np.savez(path, a=np.ones(1000))
    path.write_bytes(path.read_bytes()[:2000])


def save_damaged(path):
    np.savez_compressed(path, a=np.arange(1000))
    content = bytearray(path.read_bytes())
    content[100:140] = bytes(40)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: path.write_text("not weights"), id="text"),
        pytest.param(lambda path: path.touch(), id="empty"),
        pytest.param(lambda path: path.mkdir(), id="folder"),
        save_array,
        save_objects,
        save_half,
        save_damaged,
    ],
)
def test_what_is_no_readable_npz(tmp_path, write):
    path = tmp_path / "weights.npz"
    write(path)
    with pytest.raises(InputError, match=r"weights\.npz is not a readable npz file"):
        load_folded_backbone(path, {}, norm=FROZEN)
