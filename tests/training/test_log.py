import contextlib
import dataclasses
import json
import struct
import sys
import types

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

import configs
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.training.log import TrainingLog
from maskrcnn_jax.training.log_files import LogFiles
from maskrcnn_jax.training.log_outputs import open_outputs
from maskrcnn_jax.training.log_wandb import WandbLog


def log_of(workdir, *, start=0, unlogged=(), every=3, others=()):
    return TrainingLog(
        [*others, LogFiles(workdir, start=start)],
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


def test_a_picture_is_a_file_and_shown_by_tensorboard(tmp_path):
    log, picture = log_of(tmp_path), np.full((4, 6, 3), 9, np.uint8)
    note(log, range(1, 3))
    log.write_picture(picture)
    log.close()
    path = tmp_path / "pictures/step_00000002.png"
    np.testing.assert_array_equal(cv2.imread(str(path)), picture)
    [board] = (tmp_path / "tensorboard").iterdir()
    event = list(events(board))[-1]
    [value] = event.summary.value
    assert (event.step, value.tag) == (2, "pictures")
    assert value.image.encoded_image_string == path.read_bytes()
    assert (value.image.height, value.image.width) == (4, 6)


def test_pictures_of_steps_that_are_done_again_are_dropped(tmp_path):
    first = log_of(tmp_path)
    for step in range(1, 9):
        note(first, [step])
        if step % 4 == 0:
            first.write_picture(np.zeros((2, 2, 3), np.uint8))
    first.close()
    (tmp_path / "pictures/step_of_mine.png").touch()
    log_of(tmp_path, start=5).close()
    left = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert left == {"step_00000004.png", "step_of_mine.png"}


class FakeWandb(types.ModuleType):
    """Notes what it is told."""

    Image = staticmethod(np.shape)
    Error = type("Error", (Exception,), {})

    def __init__(self):
        super().__init__("wandb")
        self.started, self.told, self.finished = [], [], 0

    def init(self, **options):
        self.started.append(options)
        return self

    def log(self, values, *, step):
        self.told.append((step, values))

    def finish(self):
        self.finished += 1


def test_wandb_gets_all_lines_and_pictures_of_one_run(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setitem(sys.modules, "wandb", fake := FakeWandb())
    log = log_of(tmp_path, others=[WandbLog(tmp_path, config={"a": 1})])
    note(log, range(1, 5))
    log.write_picture(np.zeros((4, 6, 3), np.uint8))
    log.close()
    written = [(line.pop("step"), line) for line in lines(tmp_path)]
    assert fake.told == [*written, (4, {"pictures": (4, 6, 3)})]
    assert fake.finished == 1

    monkeypatch.setenv("WANDB_MODE", "online")
    log_of(tmp_path, start=3, others=[WandbLog(tmp_path, config={})]).close()
    first, second = fake.started
    assert (first["mode"], second["mode"]) == ("offline", "online")
    assert first["id"] == second["id"] == (tmp_path / "wandb/run_id").read_text()
    assert (first["dir"], first["resume"], first["config"]) == (tmp_path, "allow", {"a": 1})
    WandbLog(tmp_path / "other", config={})
    assert fake.started[-1]["id"] != first["id"]


def test_a_logger_is_an_option(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb())
    config = configs.load("shapes")
    [files] = open_outputs(tmp_path, config, start=0)
    files.close()
    run = dataclasses.replace(config.run, logger="wandb")
    wandb, files = open_outputs(tmp_path, dataclasses.replace(config, run=run), start=0)
    files.close()
    assert isinstance(wandb, WandbLog)
    assert isinstance(files, LogFiles)


def test_wandb_that_is_not_installed_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[wandb\]'"):
        WandbLog(tmp_path / "run", config={})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mistake", ["not logged in", "no such mode"])
def test_what_wandb_refuses_is_told(tmp_path, monkeypatch, mistake):
    fake = FakeWandb()
    kind = {"not logged in": fake.Error, "no such mode": ValueError}[mistake]

    def refuse(**_):
        raise kind(mistake)

    monkeypatch.setattr(fake, "init", refuse)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with pytest.raises(InputError, match=f"--run.logger wandb: {mistake}"):
        WandbLog(tmp_path, config={})


@pytest.mark.parametrize(("mode", "is_refused"), [("bogus", True), ("disabled", False)])
def test_the_real_wandb(tmp_path, monkeypatch, mode, is_refused):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", mode)
    with contextlib.ExitStack() as stack:
        if is_refused:
            stack.enter_context(pytest.raises(InputError, match=r"--run.logger wandb: .*mode"))
        WandbLog(tmp_path, config={}).close()


def test_a_full_disk_is_told(tmp_path):
    log = log_of(tmp_path)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match=f"{tmp_path}: the log cannot be written: No space left"):
        note(log, range(1, 4))
    log.close()
