"""Running out of memory ends a script with what to change."""

from tests.scripts.conftest import TINY


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
