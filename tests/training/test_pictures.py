import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import configs
from maskrcnn_jax.pictures.canvas import canvas
from maskrcnn_jax.training.pictures import TrainingPictures, make_outputs_step
from maskrcnn_jax.training.sharding import data_mesh, place_state, replicate, shard_batch
from tests import tiny
from tests.data.samples import random_dataset
from tests.solo.models import tiny_solov2, tiny_solov2_variables

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CATEGORIES = [SimpleNamespace(name=name) for name in ("cat", "dog", "bird")]
EVERY = 10


def pictures_of(model, **changes):
    """Of a run with this detector, on the two devices of the tests."""
    config = configs.load("shapes")
    run = dataclasses.replace(config.run, pictures_every=EVERY)
    config = dataclasses.replace(config, model=model, run=dataclasses.replace(run, **changes))
    dataset = dataclasses.replace(random_dataset([(64, 96)] * 9), categories=CATEGORIES)
    return TrainingPictures(config, dataset, data_mesh())


def batch():
    return jax.tree.map(np.asarray, tiny.random_batch(0, num_objects=(2, 0, 3, 1, 2, 5)))


def state_of(variables):
    """Divided over the devices, as far as it can be."""
    divided = place_state(variables, data_mesh(), sharded=True)
    return SimpleNamespace(variables=lambda: divided)


@pytest.mark.parametrize(
    ("every", "due"), [(0, []), (1, [1, 2, 3, 4, 5, 6]), (3, [1, 3, 6]), (50, [1])]
)
def test_they_are_due_after_the_first_step_and_rarely(every, due):
    pictures = pictures_of(tiny.tiny_config(), pictures_every=every)
    assert [step for step in range(1, 7) if pictures.are_due(step)] == due


def test_after_the_first_step_nothing_is_computed():
    pictures = pictures_of(tiny.tiny_config())
    picture = pictures.draw(1, None, batch())
    assert picture.shape[1] == 2 * 520 + 8  # four images, two in a row


def columns_of(picture):
    """Whether each column of the four rows shows anything but the image."""
    rows = [jax.tree.map(lambda x, row=row: x[row], batch()) for row in range(4)]
    height, width, _ = canvas(rows[0]).shape
    tops = 8 + 40 + np.arange(4) * (height + 40 + 8)
    lefts = range(8, picture.shape[1], width + 8)
    return [
        any(
            (picture[top : top + height, left : left + width] != canvas(row)).any()
            for top, row in zip(tops, rows, strict=True)
        )
        for left in lefts
    ]


def test_targets_proposals_and_detections_of_mask_rcnn():
    picture = pictures_of(tiny.tiny_config()).draw(EVERY, state_of(tiny.tiny_variables()), batch())
    shown = columns_of(picture)
    assert shown[:2] == [True, True]
    assert len(shown) == 3


def test_a_detector_without_proposals():
    picture = pictures_of(tiny_solov2()).draw(EVERY, state_of(tiny_solov2_variables()), batch())
    assert len(columns_of(picture)) == 2


def test_the_outputs_are_those_of_predict():
    """And the proposals are what it goes on from."""
    model, mesh, variables = tiny.tiny_config().build(), data_mesh(), tiny.tiny_variables()
    images = jax.tree.map(lambda x: x[:4], batch())
    outputs = make_outputs_step(model, mesh)(replicate(variables, mesh), shard_batch(images, mesh))

    @jax.jit
    def proposals_within(images):
        _, found = model.apply(
            variables,
            images,
            method="predict",
            mutable=["intermediates"],
            capture_intermediates=lambda _, method: method == "predict",
        )
        return found["intermediates"]["rpn"]["predict"][0]

    for start in (0, 2):  # the images of a device
        rows = slice(start, start + 2)
        found = jax.tree.map(lambda x, rows=rows: x[rows], jax.device_get(outputs))
        mine = jax.tree.map(lambda x, rows=rows: x[rows], images)
        for a, b in zip(found, (proposals_within(mine), tiny.predict(mine)), strict=True):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), a, b)
