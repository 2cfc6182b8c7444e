"""A run may be divided in another way from a checkpoint on."""

import shutil

import numpy as np
import pytest

from tests.scripts.conftest import TINY, log_lines


@pytest.fixture
def half(workdir, tmp_path):
    """The first two steps of a run of four; one device did them, with two images at a time."""
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints/4")
    return tmp_path


def test_a_run_goes_on_with_micro_batches(run, workdir, half):
    go_on(run, half, "--run.micro-batches", "2")
    assert_close(half, workdir)
    assert log_lines(half) != log_lines(workdir)  # one image at a time rounds in another way


def test_a_run_goes_on_with_a_state_divided_over_two_devices(run, workdir, half):
    go_on(run, half, "--run.shard-state", "True", devices=2)
    assert_close(half, workdir)
    placed = (half / "checkpoints/4/state/_sharding").read_text().replace("\\", "")
    assert '"partition_spec": ["data"]' in placed
    result = run("eval.py", "--workdir", half)
    assert result.returncode == 0, result.stderr


def go_on(run, half, *options, devices=1):
    result = run("train.py", "shapes", "--workdir", half, *TINY, *options, devices=devices)
    assert result.returncode == 0, result.stderr
    assert "changed: --run." in result.stdout


def assert_close(workdir, other):
    for line, expected in zip(log_lines(workdir), log_lines(other), strict=True):
        assert line.keys() == expected.keys()
        for name in line:
            np.testing.assert_allclose(line[name], expected[name], rtol=1e-5, err_msg=name)


def test_micro_batches_that_do_not_divide_the_batch_are_refused(fails, tmp_path):
    options = ("--run.micro-batches", "2")
    message = fails("train.py", "shapes", "--workdir", tmp_path, *TINY, *options, devices=2)
    assert (
        "--input.batch-size 2 does not divide by the 2 devices times --run.micro-batches 2; "
        "use a multiple of 4"
    ) in message
