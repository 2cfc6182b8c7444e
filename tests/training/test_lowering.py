"""The steps can be lowered for GPU and TPU, which needs neither.

``jax.export`` refuses what only some platforms have, and calls of the host or of libraries that a
stored program may not rely on.
"""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import configs
from maskrcnn_jax.ops.conv import conv_general_dilated
from maskrcnn_jax.training.aot.programs import predict_program, train_program
from maskrcnn_jax.training.sharding import DATA_AXIS
from tests import tiny

PLATFORMS = ("cuda", "tpu")


def small(config):
    """Two small images."""
    sizes = {"batch_size": 2, "eval_batch_size": 2, "padded_sizes": ((tiny.HEIGHT, tiny.WIDTH),)}
    return dataclasses.replace(config, input=dataclasses.replace(config.input, **sizes))


def tiny_experiment():
    config = small(configs.load("shapes"))
    return dataclasses.replace(config, model=tiny.tiny_config(axis_name=DATA_AXIS))


@pytest.mark.parametrize("make_program", [train_program, predict_program])
@pytest.mark.parametrize(
    ("config", "num_devices"),
    [(tiny_experiment(), 1), (small(configs.load("mask_rcnn_r50_fpn_1x")), 2)],
    ids=["tiny-1", "r50-2"],
)
def test_a_step_lowers_for_gpu_and_tpu(config, num_devices, make_program):
    mesh = Mesh(np.asarray(jax.devices()[:num_devices]), (DATA_AXIS,))
    program = make_program(config, mesh, (tiny.HEIGHT, tiny.WIDTH))
    exported = jax.export.export(program.step, platforms=PLATFORMS)(*program.arguments)
    assert exported.platforms == PLATFORMS
    assert exported.nr_devices == num_devices


@pytest.mark.parametrize(
    ("platform", "operation"),
    [("cpu", "dot_general"), ("cuda", "convolution"), ("tpu", "convolution")],
)
def test_only_the_cpu_has_a_kernel_gradient_of_matrix_products(platform, operation):
    def kernel_gradient(x, kernel, cotangent):
        return jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](cotangent)

    x, kernel = jnp.zeros((1, 8, 8, 16)), jnp.zeros((3, 3, 16, 16))
    lower = jax.export.export(jax.jit(kernel_gradient), platforms=[platform])
    text = lower(x, kernel, x).mlir_module()
    assert set(re.findall(r"stablehlo\.(convolution|dot_general)\b", text)) == {operation}


def convolve(x, kernel):
    return conv_general_dilated(
        x, kernel, (1, 1), ((1, 1), (1, 1)), lhs_dilation=(1, 1), rhs_dilation=(1, 1),
        feature_group_count=1, dimension_numbers=None, precision=None,
    )  # fmt: skip
