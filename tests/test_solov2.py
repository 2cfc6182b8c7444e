"""Laws of the whole detector, on a tiny one. What all detectors fulfil: tests/test_variants.py."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax.training.state import merge, split
from tests import tiny
from tests.solo.models import tiny_solov2, tiny_solov2_variables
from tests.test_maskrcnn import assert_close, assert_same, replace_truth

CONFIG = tiny_solov2()
MODEL = CONFIG.build()
PARAMS, CONSTANTS = split(tiny_solov2_variables(), CONFIG.frozen_modules())


def total(params, batch):
    keys = tiny.image_keys(len(batch.valid))
    terms: Any = MODEL.apply(merge(params, CONSTANTS), batch, keys, method="loss")
    return sum(term.mean for term in terms.values()), terms


@jax.jit
def loss_and_gradients(batch):
    (_, terms), gradients = jax.value_and_grad(total, has_aux=True)(PARAMS, batch)
    return terms, gradients


@functools.cache
def usual():
    """An image with two objects and one with three."""
    return tiny.random_batch(0), loss_and_gradients(tiny.random_batch(0))


def test_every_part_is_trained():
    _, (terms, gradients) = usual()
    assert set(terms) == {"class", "mask"}
    assert terms["class"].count == terms["mask"].count > 5
    for path, gradient in flatten_dict(gradients).items():
        assert jnp.isfinite(gradient).all(), path
        assert gradient.any(), path


def test_what_is_not_valid_changes_nothing():
    batch, found = usual()
    for seed in range(3):
        garbage = tiny.with_garbage(batch.ground_truth, seed=seed)
        assert_same(loss_and_gradients(replace_truth(batch, **vars(garbage))), found)


def test_without_objects_only_the_background_is_learnt():
    terms, gradients = loss_and_gradients(tiny.random_batch(0, num_objects=(0, 0)))
    assert terms["mask"].sum == terms["mask"].count == terms["class"].count == 0
    assert terms["class"].sum > 0
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradients))
    assert not any(x.any() for x in jax.tree.leaves(gradients["mask_features"]))


def test_images_do_not_see_each_other():
    """Sums and counts of a batch are those of its images."""
    batch, (terms, _) = usual()
    alone = [jax.tree.map(lambda x, i=i: x[jnp.array([i, i])], batch) for i in (0, 1)]
    sums = [jax.tree.map(lambda x: x / 2, loss_and_gradients(b)[0]) for b in alone]
    assert_close(jax.tree.map(jnp.add, *sums), terms)


def test_detections_are_whole_masks_in_order():
    found: Any = jax.jit(functools.partial(MODEL.apply, method="predict"))(
        tiny_solov2_variables(), tiny.random_batch(0, sizes=((64, 96), (50, 70)))
    )
    assert found.masks.shape == (2, 10, tiny.HEIGHT // 4 + 2, tiny.WIDTH // 4 + 2)
    assert found.valid.any(axis=1).all()
    assert (jnp.diff(found.scores) <= 0).all()
    assert ((found.masks >= 0) & (found.masks <= 1)).all()
    assert (found.boxes[1, :, 2:] <= jnp.array([70, 50])).all()
    np.testing.assert_array_equal(found.mask_frames[0, 0], [-4, -4, 100, 68])
