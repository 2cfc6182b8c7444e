"""Compiling for TPU slices: what is told of a program, and what is said where that cannot be."""

import dataclasses
import importlib.util
import sys
import textwrap
from types import ModuleType, SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import configs
from maskrcnn_jax.data.views import LargeScaleJitterConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.training.aot import __main__ as command
from maskrcnn_jax.training.aot.cost import (
    Collectives,
    Cost,
    DoesNotFitError,
    collectives,
    measure,
)
from maskrcnn_jax.training.aot.programs import Program, programs
from maskrcnn_jax.training.aot.report import cost_row, heading, overflow_row
from maskrcnn_jax.training.aot.topology import describe, slice_mesh
from maskrcnn_jax.training.sharding import DATA_AXIS, data_mesh
from tests import tiny
from tests.data.samples import make_config

# From programs that libtpu 0.0.42 compiled; attributes are left out.
HLO = textwrap.dedent("""
    %fused_start (param_0.4: bf16[1024,1024]) -> bf16[4096,1024] {
      %all-gather.6 = bf16[4096,1024]{1,0:T(8,128)(2,1)} all-gather(%param_0.4), channel_id=2, frontend_attributes={chain_id="0"}
    }
    %fused_done (param_0.7: bf16[1024,1024]) -> bf16[4096,1024] {
      %all-gather.8 = bf16[4096,1024]{1,0:T(8,128)(2,1)S(1)} all-gather(%param_0.7), channel_id=2, frontend_attributes={chain_id="0"}
    }
    ENTRY %main {
      %all-reduce = (f32[1024,1024]{1,0:T(8,128)S(1)}, f32[10,7]{0,1:T(8,128)}) all-reduce(%a, %b), channel_id=1
      %get-tuple-element.6 = f32[1024,1024]{1,0:T(8,128)S(1)} get-tuple-element(%all-reduce), index=0
      %psum.23 = pred[3,10]{1,0:T(4,128)} all-reduce(%slice.7), channel_id=1
      %psum.24 = s32[] all-reduce(%c), channel_id=1
      %collective-permute-start = (bf16[8,2]{1,0}, bf16[8,2]{1,0}, u32[]{:S(2)}) collective-permute-start(%d)
      %collective-permute-done = bf16[8,2]{1,0:T(8,128)(2,1)S(1)} collective-permute-done(%collective-permute-start)
      %copy.13 = bf16[8,2]{1,0:T(8,128)(2,1)} copy(%collective-permute-done)
    }
""")  # noqa: E501
PROGRAM = Program(name="train", size=(832, 1344), images_per_device=2, step=None, arguments=())
COST = Cost(
    arguments=2**30,
    outputs=2**28,
    temporaries=3 * 2**30,
    code=2**29,
    flops=3.25e12,
    collectives={"all-reduce": Collectives(2, 170 * 2**20)},
    compile_seconds=61.5,
)


needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason='needs libtpu (pip install -e ".[tpu]"), which compiles for TPUs without one',
)


def small_experiment():
    """The tiny detector on data of one image size, trained with large-scale jitter."""
    jitter = LargeScaleJitterConfig(scales=(0.5, 1.5), size=(64, 64))
    return dataclasses.replace(
        configs.load("shapes"),
        model=tiny.tiny_config(axis_name=DATA_AXIS),
        input=make_config(
            batch_size=4, eval_batch_size=3, padded_sizes=((64, 96),), jitter=jitter, max_objects=7
        ),
    )


def adding_up(size, mesh):
    """A program that adds up as many float32 on each device, over all devices."""
    sharding = NamedSharding(mesh, P(DATA_AXIS))

    def total(x):
        return jax.lax.psum(x, DATA_AXIS)

    step = jax.shard_map(total, mesh=mesh, in_specs=P(DATA_AXIS), out_specs=P())
    array = jax.ShapeDtypeStruct((mesh.size * size,), jnp.float32, sharding=sharding)
    return dataclasses.replace(PROGRAM, step=jax.jit(step), arguments=(array,))


def failing(message):
    """A program that XLA refuses with this message."""

    def compile_program():
        raise jax.errors.JaxRuntimeError(message)

    lowered = SimpleNamespace(compile=compile_program)
    return dataclasses.replace(PROGRAM, step=SimpleNamespace(lower=lambda: lowered))


def run_command(monkeypatch, *argv):
    """The exit status."""
    monkeypatch.setattr(sys, "argv", ["aot", *argv])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


def test_collectives_are_counted_once_with_the_bytes_of_their_results():
    assert collectives(HLO) == {
        "all-gather": (1, 4096 * 1024 * 2),
        "all-reduce": (3, 4 * (1024 * 1024 + 70) + 30 + 4),
        "collective-permute": (1, 32),
    }


def test_the_cost_of_a_program_is_what_xla_says():
    cost = measure(adding_up(300, data_mesh()))
    assert (cost.arguments, cost.outputs) == (1200, 1200)
    assert cost.memory == 2400 + cost.temporaries + cost.code
    assert cost.collectives == {"all-reduce": (1, 1200)}
    assert cost.compile_seconds > 0


def test_a_program_too_large_for_the_memory_does_not_fit():
    message = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 17G of 15.75G hbm."
    with pytest.raises(DoesNotFitError, match="Used 17G of"):
        measure(failing(message))


@pytest.mark.parametrize(
    "message",
    [
        "INTERNAL: Mosaic failed to compile TPU kernel",
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem. Used 17M of 16M vmem.",
    ],
)
def test_every_other_error_of_the_compiler_is_passed_on(message):
    with pytest.raises(jax.errors.JaxRuntimeError, match=message[:12]):
        measure(failing(message))


def test_a_row_has_gibibytes_and_the_width_of_the_heading():
    row = cost_row(PROGRAM, COST)
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "train", "832x1344", "2", "1.00", "0.25", "3.00", "0.50", "4.75", "3.25",
        "2 all-reduce (170.0 MiB)", "62 s",
    ]  # fmt: skip
    rows = [*heading().splitlines(), row, overflow_row(PROGRAM)]
    assert len({len(line) for line in rows}) == 1


def test_the_programs_are_one_for_each_padded_size():
    """Training has its own, and prediction gives each of two devices two images."""
    config = small_experiment()
    found = [(p.name, p.size, p.images_per_device) for p in programs(config, data_mesh())]
    assert found == [("train", (64, 64), 2), ("predict", (64, 96), 2)]


def test_the_command_fails_where_a_program_does_not_fit(monkeypatch, capsys):
    """And still tells of the others."""
    prediction = dataclasses.replace(PROGRAM, name="predict", images_per_device=1)

    def fits_in_prediction_only(program):
        if program.name == "train":
            raise DoesNotFitError("Used 17G of 15.75G hbm")
        return COST

    monkeypatch.setattr(command, "slice_mesh", lambda topology: data_mesh())
    monkeypatch.setattr(command, "describe", lambda mesh: "two devices")
    monkeypatch.setattr(command, "programs", lambda config, mesh: [PROGRAM, prediction])
    monkeypatch.setattr(command, "measure", fits_in_prediction_only)
    assert run_command(monkeypatch, "shapes", "--topology", "v5e:2x4") == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == [overflow_row(PROGRAM), cost_row(prediction, COST)]
    assert "train 832x1344, 2 images per device: does not fit" in err
    assert "Used 17G of 15.75G" in err
    monkeypatch.setattr(command, "measure", lambda program: COST)
    assert run_command(monkeypatch, "shapes", "--topology", "v5e:2x4") == 0


def test_without_libtpu_the_command_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run_command(monkeypatch, "shapes", "--topology", "v5e:2x4") == 2
    assert "pip install" in capsys.readouterr().err


def test_a_batch_that_the_slice_cannot_share_is_refused():
    config = small_experiment()
    config = dataclasses.replace(config, input=dataclasses.replace(config.input, batch_size=3))
    with pytest.raises(InputError, match="batch-size 3"):
        next(programs(config, data_mesh()))


@needs_libtpu
def test_programs_are_compiled_for_a_slice():
    mesh = slice_mesh("v5e:2x4")
    assert "8 x TPU v5 lite with 15.75 GiB" in describe(mesh)
    cost = measure(adding_up(2**20, mesh))
    assert cost.arguments == cost.outputs == 2**22
    assert cost.collectives == {"all-reduce": (1, 2**22)}
    with pytest.raises(DoesNotFitError, match=r"15\.75G"):
        measure(adding_up(2**34, mesh))


@needs_libtpu
def test_a_slice_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match=r"v5e:3x5.*Slices are such as v5e:2x4"):
        slice_mesh("v5e:3x5")


def test_without_the_repository_one_line_says_where_presets_are(monkeypatch, capsys):
    """An installed package has none, and a folder ``configs`` may be somebody else's."""
    monkeypatch.setitem(sys.modules, "configs", ModuleType("configs"))
    assert run_command(monkeypatch, "shapes", "--topology", "v5e:2x2") == 2
    assert "error: presets are in configs/ of the repository" in capsys.readouterr().err
