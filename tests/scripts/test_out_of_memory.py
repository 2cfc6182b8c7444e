"""Running out of memory ends a script with what to change. In this process where that suffices."""

import sys

import jax
import jax.numpy as jnp
import pytest

import eval as eval_script
import predict as predict_script
from tests.scripts.conftest import TINY


def run_out(*_, **__):
    """Raises the real error."""
    jax.block_until_ready(jax.jit(lambda: jnp.zeros(1 << 46, jnp.float32))())


def test_training(fails, tmp_path):
    """A layer of 4 TB."""
    message = fails(
        *("train.py", "shapes", "--workdir", tmp_path, *TINY, "--input.batch-size", 4),
        *("--model.roi.box.hidden", 10**6),
    )
    assert "not enough memory: Out of memory allocating" in message
    assert "1 cpu device(s) had 4 image(s) of 64x64 at once" in message
    assert "--run.micro-batches 2" in message
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("script", "step", "options"),
    [
        (eval_script, "predict_dataset", ()),
        (predict_script, "predict", (".", "--out", "nowhere")),
    ],
)
def test_prediction(script, step, options, workdir, environment, monkeypatch, capsys):
    monkeypatch.setattr(script, step, run_out)
    monkeypatch.setattr(sys, "argv", ["", "--workdir", str(workdir), *options])
    monkeypatch.setenv("TFDS_DATA_DIR", environment["TFDS_DATA_DIR"])
    with pytest.raises(SystemExit) as exit_:
        script.main()
    assert exit_.value.code == 2
    message = capsys.readouterr().err
    assert "of 64x64 at once" in message
    assert "--input.padded-sizes" in message
