"""What is kept of a step that was not finite, and what is found in it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.data.datasets import ShapesConfig
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.training import failure
from maskrcnn_jax.training.checkpoint import Checkpoints, Run
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig
from maskrcnn_jax.training.replay import replay
from maskrcnn_jax.training.state import create_state
from tests import tiny
from tests.data.samples import make_config, random_dataset

CONFIG = ExperimentConfig(
    model=tiny.tiny_config(),
    data=ShapesConfig(),
    input=make_config(batch_size=2, padded_sizes=((64, 96),), short_sides=(64,), long_side=96),
    optimizer=SGDConfig(schedule=ScheduleConfig(epochs=1.0)),
)
CATEGORIES = tuple(Category(id=number, name=f"class {number}") for number in range(3))
RUN = Run(config=CONFIG, categories=CATEGORIES, position=3)
DATASET = random_dataset([(64, 96)] * 5)
STATE = dataclasses.replace(
    create_state(
        tiny.tiny_variables(), CONFIG.optimizer.build(lambda _: 0.0), CONFIG.model.frozen_modules()
    ),
    step=jnp.asarray(7),
)
METRICS = {"loss": math.nan, "rpn_box": 0.5, "roi_box": math.inf}


def test_batch_and_state_are_kept_and_told_of(tmp_path):
    with pytest.raises(InputError) as error:
        failure.fail(tmp_path, STATE, RUN, dataset=DATASET, metrics=METRICS)
    stream = train_batches(DATASET, CONFIG.input, seed=0, start=3)
    expected = next(stream)
    stream.close()
    kept = failure.read_batch(tmp_path / "failure/batch.npz")
    jax.tree.map(np.testing.assert_array_equal, kept.batch, expected)
    assert [f"1 ({index}.png)" for index in expected.indices] == kept.names()

    message = str(error.value)
    assert message.startswith("step 8: loss, roi_box are not finite (loss nan, rpn_box 0.5, roi_b")
    assert all(name in message for name in kept.names())
    assert f"maskrcnn_jax.training.replay {tmp_path}" in message

    checkpoints = Checkpoints(tmp_path / "failure")
    assert checkpoints.restore_run() == RUN
    like = jax.tree.map(jnp.zeros_like, STATE)
    jax.tree.map(
        np.testing.assert_array_equal, checkpoints.restore_state(like).params, STATE.params
    )


def test_nothing_to_do_again_is_one_message(tmp_path):
    with pytest.raises(InputError, match="holds no failed step"):
        list(replay(tmp_path))


def kept_failure(workdir, *, batch=None, params=None):
    """As ``fail`` leaves it, with other content."""
    batch = tiny.random_batch(0) if batch is None else batch
    params = STATE.params if params is None else params
    failure.write_batch(
        workdir / "failure/batch.npz",
        failure.NamedBatch(
            batch=jax.tree.map(np.asarray, batch),
            image_ids=np.array([17, 4]),
            file_names=np.array(["first.jpg", "second.jpg"]),
        ),
    )
    checkpoints = Checkpoints(workdir / "failure")
    checkpoints.save(dataclasses.replace(STATE, params=params), RUN)
    checkpoints.close()


def test_the_image_and_the_object_are_found(tmp_path):
    batch = tiny.random_batch(0)
    boxes = np.array(batch.ground_truth.boxes)
    boxes[1, 2] = -3e38, 10, 3e38, 20
    truth = dataclasses.replace(batch.ground_truth, boxes=boxes)
    kept_failure(tmp_path, batch=dataclasses.replace(batch, ground_truth=truth))
    lines = list(replay(tmp_path))
    assert lines[0] == "step 8: 2 images of 64x96"
    assert lines[-2:] == [
        "image 4 (second.jpg):",
        "  class 0, box -3e+38 10 3e+38 20: outside the image of 64x96",
    ]
    assert "loss rpn_box" in "".join(lines)
    assert not [line for line in lines if "first.jpg" in line]


def test_weights_that_overflow_are_found(tmp_path):
    params = jax.tree.map(lambda x: x, STATE.params)
    params["rpn"]["head"] = jax.tree.map(lambda x: x + 1e25, params["rpn"]["head"])
    kept_failure(tmp_path, params=params)
    text = "\n".join(replay(tmp_path))
    assert "It begins with the output of rpn/head/objectness." in text
    assert "The largest weight is 1e+25, in params/rpn/head/" in text
    assert "rpn/head                                inf  17 (first.jpg), 4 (second.jpg)" in text
