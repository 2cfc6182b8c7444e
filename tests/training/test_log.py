import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.training.log import TrainingLog


def log_of(workdir, *, start=0, unlogged=(), every=3):
    return TrainingLog(
        workdir,
        start=start,
        num_steps=8,
        every=every,
        images_per_step=2,
        learning_rate=lambda step: 0.5 * step,
        unlogged=unlogged,
    )


def note(log, steps):
    for step in steps:
        log.add({"loss": jnp.float32(0.1) * step}, image_shape=(2, 32, 64, 3))
        if log.is_due():
            log.write()


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def losses(workdir):
    return [(line["step"], line["loss"]) for line in lines(workdir)]


def events(path):
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("Q", content[:8])
        yield event_pb2.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def test_a_line_has_the_means_since_the_line_before(tmp_path):
    log = log_of(tmp_path)
    note(log, range(1, 9))
    log.close()
    steps = [line["step"] for line in lines(tmp_path)]
    assert steps == [3, 6, 8]  # and one at the end
    np.testing.assert_allclose([loss for _, loss in losses(tmp_path)], [0.2, 0.5, 0.75], rtol=1e-6)
    assert [line["learning_rate"] for line in lines(tmp_path)] == [1.0, 2.5, 3.5]
    assert all(line["images_per_second"] > 0 for line in lines(tmp_path))


def test_the_metrics_of_a_step_are_known_until_its_line(tmp_path):
    log = log_of(tmp_path)
    note(log, range(1, 6))
    assert log.metrics_of(4)["loss"] == np.float32(0.1) * np.float32(4)
    log.close()


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 7])
def test_a_log_goes_on_anywhere_as_if_it_had_not_stopped(stop, tmp_path):
    straight = log_of(tmp_path / "straight")
    note(straight, range(1, 9))
    straight.close()

    first = log_of(tmp_path / "stopped")
    note(first, range(1, stop + 1))
    unlogged = first.unlogged()
    note(first, range(stop + 1, 9))  # lost
    first.close()
    with (tmp_path / "stopped/metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')
    second = log_of(tmp_path / "stopped", start=stop, unlogged=unlogged)
    note(second, range(stop + 1, 9))
    second.close()
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")


def test_tensorboard_is_told_where_a_run_goes_on(tmp_path):
    log = log_of(tmp_path, start=5)
    note(log, range(6, 9))
    log.close()
    [path] = (tmp_path / "tensorboard").iterdir()
    _, mark, *rest = events(path)
    assert mark.step == 6
    assert mark.session_log.status == mark.session_log.START
    values = {(e.step, v.tag): v.simple_value for e in rest for v in e.summary.value}
    assert values[6, "loss"] == pytest.approx(0.6)
    assert {step for step, _ in values} == {6, 8}


def test_a_full_disk_is_told(tmp_path):
    log = log_of(tmp_path)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match=f"{tmp_path}: the log cannot be written: No space left"):
        note(log, range(1, 4))
    log.close()
