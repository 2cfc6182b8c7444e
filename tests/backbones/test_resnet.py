import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.norms import BatchNormConfig, GroupNormConfig
from maskrcnn_jax.training.sharding import DATA_AXIS, data_mesh
from maskrcnn_jax.training.state import count_parameters, merge, split
from tests import tiny

X101 = {"depth": 101, "groups": 32, "width_per_group": 8, "stride_in_1x1": False}
# torchvision's ResNets without their classifier; a norm counts with its scale and bias.
NUM_PARAMETERS = [
    ({"depth": 18}, 11_176_512),
    ({"depth": 34}, 21_284_672),
    ({"depth": 50}, 23_508_032),
    ({"depth": 101}, 42_500_160),
    ({"depth": 152}, 58_143_808),
    (X101, 86_742_336),
]
KEY, IMAGES = jax.random.key(0), jnp.zeros((1, 64, 96, 3))


def variable_shapes(config):
    return jax.tree.map(jnp.shape, jax.eval_shape(config.build().init, KEY, IMAGES))


def output_shapes(config):
    """Of every module, under its name."""

    def run():
        model = config.build()
        captured = {"capture_intermediates": True, "mutable": ["intermediates"]}
        return model.apply(model.init(KEY, IMAGES), IMAGES, **captured)[1]["intermediates"]

    return jax.tree.map(jnp.shape, jax.eval_shape(run))


@pytest.mark.parametrize(("options", "num_parameters"), NUM_PARAMETERS)
def test_features_and_parameters_are_those_of_the_paper(options, num_parameters):
    config = ResNetConfig(**options)
    features, variables = jax.eval_shape(config.build().init_with_output, KEY, IMAGES)
    expansion = 1 if config.depth < 50 else 4
    assert {level: x.shape for level, x in features.items()} == {
        level: (1, 64 // 2**level, 96 // 2**level, 64 * 2 ** (level - 2) * expansion)
        for level in (2, 3, 4, 5)
    }
    norms = count_parameters(variables["frozen"])
    assert count_parameters(variables["params"]) + norms // 2 == num_parameters
    assert {path[-1].key for path, _ in jax.tree.leaves_with_path(variables["params"])} == {
        "kernel"
    }


def test_a_norm_with_trained_scale_and_bias_keeps_them_among_the_parameters():
    config = ResNetConfig(depth=50, norm=GroupNormConfig())
    variables = jax.eval_shape(config.build().init, KEY, IMAGES)
    assert set(variables) == {"params"}
    assert count_parameters(variables["params"]) == 23_508_032


@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_the_stride_of_a_bottleneck_sits_where_it_is_told(stride_in_1x1):
    config = ResNetConfig(depth=50, width=8, stride_in_1x1=stride_in_1x1)
    outputs = output_shapes(config)
    for stage in (2, 3, 4, 5):
        before = (64, 96) if stage == 2 else (128 >> stage, 192 >> stage)
        after = (64 >> stage, 96 >> stage)
        first, second = outputs[f"res{stage}"]["block0"], outputs[f"res{stage}"]["block1"]
        expected = after if stride_in_1x1 or stage == 2 else before
        assert first["conv1"]["__call__"][0][1:3] == expected
        assert first["conv2"]["__call__"][0][1:3] == after
        assert second["conv1"]["__call__"][0][1:3] == after
        assert "shortcut" in first
        assert "shortcut" not in second


def test_a_resnext_has_wide_grouped_convolutions():
    block = variable_shapes(ResNetConfig(**X101))["params"]["res3"]["block0"]
    assert block["conv1"]["kernel"] == (1, 1, 256, 512)
    assert block["conv2"]["kernel"] == (3, 3, 16, 512)  # 32 groups of 16 channels
    assert block["conv3"]["kernel"] == (1, 1, 512, 512)


@pytest.mark.parametrize(
    ("frozen_stages", "names"),
    [
        (0, ()),
        (1, ("stem",)),
        (2, ("stem", "res2")),
        (5, ("stem", "res2", "res3", "res4", "res5")),
    ],
)
def test_freezing_starts_at_the_stem(frozen_stages, names):
    assert ResNetConfig(frozen_stages=frozen_stages).frozen_modules() == names
    assert set(names) <= set(variable_shapes(ResNetConfig(depth=18))["params"])


def test_frozen_stages_cannot_have_running_statistics():
    with pytest.raises(InputError, match="set frozen_stages to 0"):
        ResNetConfig(norm=BatchNormConfig(), frozen_stages=1)
    ResNetConfig(norm=BatchNormConfig(), frozen_stages=0)


def slow_conv(x, kernel, stride=1):
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def slow_norm(x, norm):
    scale = norm["scale"] / np.sqrt(norm["var"] + 1e-5)
    return (x - norm["mean"]) * scale + norm["bias"]


def slow_resnet18(params, norms, x):
    relu = jax.nn.relu
    x = relu(slow_norm(slow_conv(x, params["stem"]["conv"]["kernel"], 2), norms["stem"]["norm"]))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    x = jax.lax.reduce_window(
        padded, -np.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID"
    )  # fmt: skip
    features = {}
    for stage in (2, 3, 4, 5):
        for index in (0, 1):
            p, n = params[f"res{stage}"][f"block{index}"], norms[f"res{stage}"][f"block{index}"]
            stride = 2 if stage > 2 and index == 0 else 1
            y = relu(slow_norm(slow_conv(x, p["conv1"]["kernel"], stride), n["norm1"]))
            y = slow_norm(slow_conv(y, p["conv2"]["kernel"]), n["norm2"])
            if "shortcut" in p:
                x = slow_norm(slow_conv(x, p["shortcut"]["kernel"], stride), n["shortcut_norm"])
            x = relu(x + y)
        features[stage] = x
    return features


def test_resnet18_equals_its_layers_one_after_the_other():
    config = dataclasses.replace(tiny.tiny_config().backbone, width=4)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(1, 64, 96, 3)), jnp.float32)
    variables = tiny.variables_like(config.build().init, KEY, images)
    variables["frozen"] = jax.tree.map(
        lambda x: jnp.asarray(rng.uniform(0.5, 1.5, x.shape), jnp.float32), variables["frozen"]
    )
    found = jax.jit(config.build().apply)(variables, images)
    expected = slow_resnet18(variables["params"], variables["frozen"], images)
    for level in (2, 3, 4, 5):
        scale = np.abs(expected[level]).max()
        np.testing.assert_allclose(found[level], expected[level], rtol=0, atol=1e-5 * scale)


# ---- rematerialisation ---------------------------------------------------------------------------


def objective(config, variables):
    """A scalar of all features as a function of the trained parameters and the images."""
    frozen_modules = [(name,) for name in config.frozen_modules()]
    params, constants = split(variables, frozen_modules)

    def of(params, images):
        features, updates = config.build().apply(
            merge(params, constants), images, mutable=["batch_stats"]
        )
        return sum(jnp.cos(x).sum() for x in features.values()), updates

    return of, params


def stored_bytes(config):
    """What the forward pass keeps for the backward pass, the parameters aside."""

    def backward(variables, images):
        of, params = objective(config, variables)
        return jax.vjp(lambda params: of(params, images), params, has_aux=True)[1]

    images = jax.ShapeDtypeStruct((2, 128, 128, 3), jnp.float32)
    variables = jax.eval_shape(config.build().init, KEY, images)
    kept, parameters = (
        sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
        for tree in (jax.eval_shape(backward, variables, images), variables)
    )
    return kept - parameters


@pytest.mark.parametrize(
    "config",
    [
        ResNetConfig(depth=50, width=16),
        ResNetConfig(depth=18, width=16, frozen_stages=0, norm=GroupNormConfig(groups=4)),
    ],
)
def test_remat_stores_less_than_half(config):
    """Asked of JAX: XLA for the CPU takes the recomputed values for the same as the first ones."""
    with_remat = dataclasses.replace(config, remat=True)
    assert stored_bytes(with_remat) < 0.5 * stored_bytes(config)


def test_remat_changes_neither_names_nor_frozen_stages():
    config = ResNetConfig(depth=50, width=16)
    with_remat = dataclasses.replace(config, remat=True)
    assert variable_shapes(with_remat) == variable_shapes(config)
    frozen = dataclasses.replace(config, frozen_stages=5, remat=True)
    assert stored_bytes(frozen) <= 0  # nothing is computed again, as nothing is trained


@pytest.mark.parametrize(
    "config",
    [
        ResNetConfig(depth=18, width=8),
        ResNetConfig(depth=18, width=8, frozen_stages=0, norm=BatchNormConfig(axis_name=DATA_AXIS)),
    ],
)
def test_remat_changes_no_value_on_two_devices(config):
    """Features, gradients and running averages, up to rounding."""
    images = jax.random.normal(KEY, (2, 64, 64, 3))
    variables = tiny.variables_like(config.build().init, KEY, images)

    def results(config):
        of, params = objective(config, variables)

        def on_one_device(params, images):
            (value, updates), gradients = jax.value_and_grad(of, has_aux=True)(params, images)
            return jax.lax.psum((value, gradients), DATA_AXIS), updates

        step = jax.shard_map(
            on_one_device,
            mesh=data_mesh(),
            in_specs=(P(), P(DATA_AXIS)),
            out_specs=P(),
            check_vma=False,
        )
        return jax.jit(step)(params, images)

    expected, found = results(config), results(dataclasses.replace(config, remat=True))
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())
