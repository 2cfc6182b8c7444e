import json
import math

import numpy as np
import pytest

from tests.scripts.conftest import TINY, log_lines
from tests.scripts.stopped_runs import assert_same_result


def _lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_a_log_checkpoints_and_tensorboard_files(workdir):
    lines = _lines(workdir)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(math.isfinite(value) for line in lines for value in line.values())
    losses = {"rpn_objectness", "rpn_box", "roi_class", "roi_box", "roi_mask"}
    assert lines[0]["loss"] == pytest.approx(sum(lines[0][name] for name in losses), rel=1e-6)
    assert {p.name for p in (workdir / "checkpoints").iterdir()} == {"2", "4"}
    assert list((workdir / "tensorboard").glob("events.*"))


def test_a_finished_run_says_so(run, workdir):
    before = (workdir / "metrics.jsonl").read_bytes()
    result = run("train.py", "shapes", "--workdir", workdir, *TINY)
    assert result.returncode == 0
    assert "training is done (4 steps)" in result.stdout
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_a_resumed_run_equals_an_uninterrupted_one(run, workdir, tmp_path):
    half = [*TINY, "--optimizer.schedule.epochs", "0.5"]
    assert run("train.py", "shapes", "--workdir", tmp_path, *half).returncode == 0
    with (tmp_path / "metrics.jsonl").open("a") as log:  # as if killed after the checkpoint
        log.write('{"step": 3, "loss": 77}\n{"step": 4, "lo')
    result = run("train.py", "shapes", "--workdir", tmp_path, *TINY)
    assert result.returncode == 0, result.stderr
    assert "--optimizer.schedule.epochs: 0.5 before, 1.0 from here on" in result.stdout
    assert log_lines(tmp_path) == log_lines(workdir)


def test_another_model_cannot_continue_a_run(fails, workdir):
    message = fails(
        "train.py", "shapes", "--workdir", workdir, *TINY, "--model.neck.channels", "32"
    )
    assert "--model.neck.channels 16, not 32" in message


def test_unknown_preset_names_the_nearest(fails, tmp_path):
    assert "Did you mean 'shapes'?" in fails("train.py", "shape", "--workdir", tmp_path)
    assert not list(tmp_path.iterdir())


def test_debug_shows_where_a_mistake_was_noticed(run, tmp_path):
    result = run("train.py", "shapes", "--workdir", tmp_path, "--run.log-every", "0", "--debug")
    assert result.returncode == 2
    assert "log_every must be at least 1" in result.stderr
    assert "in __post_init__" in result.stderr


def test_pictures_change_nothing(run, workdir, tmp_path):
    options = (*TINY, "--run.pictures-every")
    result = run("train.py", "shapes", "--workdir", tmp_path, *options, "2")
    assert result.returncode == 0, result.stderr
    assert "step 2: compiled for its pictures in" in result.stdout
    names = [f"step_{step:08d}.png" for step in (1, 2, 4)]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == names
    assert not (workdir / "pictures").exists()
    assert_same_result(tmp_path, workdir)


def test_misspelt_option_names_the_nearest(fails, tmp_path):
    message = fails("train.py", "shapes", "--workdir", tmp_path, "--optimizer.learning-rat", "1")
    assert "--optimizer.learning-rate" in message


def test_help_lists_the_presets_and_a_presets_options(run):
    assert "mask_rcnn_r50_fpn_1x" in run("train.py", "--help").stdout
    screen = run("train.py", "shapes", "--help").stdout
    assert screen.count("\n") < 50
    assert "learning-rate=0.05" in screen
    assert "--optimizer.learning-rate" in run("train.py", "shapes", "--help", "all").stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["shapes", "--init.checkpoint", "none.npz"], ["none.npz", "does not exist"]),
        (["penn_fudan", "--data.root", "nowhere"], ["nowhere", "no such file"]),
        (["shapes", "--model.num-classes", "5"], ["6 categories", "--model.num-classes is 5"]),
        (
            ["shapes", "--input.short-sides", "256", "--input.long-side", "256"],
            ["000001.png", "padded_sizes"],
        ),
        (["shapes", "--input.batch-size", "0"], ["batch_size must be at least 1"]),
        (["shapes", "--input.max-objects", "1"], ["max_objects"]),
        (["shapes", "--run.log-every", "0"], ["log_every must be at least 1"]),
        (["shapes", "--optimizer.schedule.epochs", "nan"], ["epochs must be above 0"]),
    ],
)
def test_bad_options_are_one_clear_message(fails, tmp_path, options, words):
    small = ["--data.num-train", "8", "--data.num-eval", "3"] if options[0] == "shapes" else []
    message = fails("train.py", *options, *small, "--workdir", tmp_path / "run")
    assert all(word in message for word in words)
    assert not (tmp_path / "run").exists()


def test_batch_that_the_devices_cannot_share(fails, tmp_path):
    message = fails(
        "train.py", "shapes", "--workdir", tmp_path, *TINY, "--input.batch-size", "3", devices=2
    )
    assert "--input.batch-size 3 does not divide by the 2 devices" in message


def test_own_coco_data(run, shared, tmp_path):
    """Crowds, polygons, images without objects, 80 classes, a network with the real backbone."""
    options = (
        "--input.batch-size 2 --input.short-sides 96 --input.eval-short-side 96 "
        "--input.long-side 160 --input.padded-sizes 96 160 160 96 --model.neck.channels 16 "
        "--model.roi.box.hidden 32 --model.roi.mask.channels 16 "
        "--model.roi.sampling.num-samples 16 --model.rpn.train-proposals.after-nms 50 "
        "--optimizer.schedule.epochs 0.08 --optimizer.schedule.decay-at 1 "
        "--input.num-workers 0 --run.log-every 1"
    ).split()
    weights = shared / "weights/resnet50_imagenet_folded.npz"
    result = run(
        *("train.py", "mask_rcnn_r50_fpn_1x", "--workdir", tmp_path),
        *("--data.root", shared / "data/coco2017_mini", "--init.checkpoint", weights, *options),
    )
    assert result.returncode == 0, result.stderr
    assert "have no objects" in result.stdout
    assert len(_lines(tmp_path)) >= 3
    assert all(np.isfinite(line["loss"]) for line in _lines(tmp_path))


def test_a_diverged_run_ends_before_a_checkpoint_is_written(fails, tmp_path):
    message = fails(
        *("train.py", "shapes", "--workdir", tmp_path, *TINY),
        *("--optimizer.learning-rate", "1e30", "--optimizer.schedule.warmup-steps", "0"),
    )
    assert " not finite (gradient_norm " in message
    assert "lower --optimizer.learning-rate" in message
    assert f"python -m maskrcnn_jax.training.replay {tmp_path}" in message
    assert not (tmp_path / "checkpoints").exists()
    assert (tmp_path / "failure/batch.npz").exists()


def test_a_workdir_that_is_a_file_is_one_message(fails, tmp_path):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in fails(
        "train.py", "shapes", "--workdir", tmp_path / "file", *TINY
    )
