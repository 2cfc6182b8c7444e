"""Laws of the whole detector, on a tiny one that trains on every anchor and every proposal."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.pixels import PixelConfig, normalize
from maskrcnn_jax.training.state import count_parameters, initial_variables, merge, split
from tests import tiny

CONFIG = tiny.tiny_config(samples_everything=True)
MODEL = CONFIG.build()


PARAMS, CONSTANTS = split(tiny.tiny_variables(), CONFIG.frozen_modules())


@jax.jit
def _loss_and_gradients(params, batch, keys):
    def total(params):
        terms: Any = MODEL.apply(merge(params, CONSTANTS), batch, keys, method="loss")
        return sum(term.mean for term in terms.values()), terms

    (_, terms), gradients = jax.value_and_grad(total, has_aux=True)(params)
    return terms, gradients


def loss_and_gradients(batch, seed=0):
    return _loss_and_gradients(PARAMS, batch, tiny.image_keys(len(batch.valid), seed))


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b, *, rtol=2e-5):
    """Up to rounding, measured by the largest value of each array."""

    def compare(x, y):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * np.abs(y).max(initial=0) + 1e-9)

    jax.tree.map(compare, a, b)


def replace_truth(batch, **changes):
    return dataclasses.replace(
        batch, ground_truth=dataclasses.replace(batch.ground_truth, **changes)
    )


def test_every_part_is_trained():
    terms, gradients = loss_and_gradients(tiny.random_batch(0))
    assert set(terms) == {"rpn_objectness", "rpn_box", "roi_class", "roi_box", "roi_mask"}
    assert all(term.sum > 0 for term in terms.values())
    for path, gradient in jax.tree.leaves_with_path(gradients):
        assert np.isfinite(gradient).all(), path
        assert np.any(gradient), path


# ---- padding ---------------------------------------------------------------------------------


def test_garbage_in_empty_slots_changes_nothing():
    batch = tiny.random_batch(1)
    spoilt = dataclasses.replace(batch, ground_truth=tiny.with_garbage(batch.ground_truth))
    assert_same(loss_and_gradients(batch), loss_and_gradients(spoilt))


def test_garbage_beyond_the_real_pixels_changes_nothing():
    batch = tiny.random_batch(2, sizes=[(50, 90), (64, 70)])
    spoilt = tiny.with_garbage_pixels(batch)
    assert (spoilt.images != batch.images).any()
    assert_same(loss_and_gradients(batch), loss_and_gradients(spoilt))
    assert_same(tiny.predict(batch), tiny.predict(spoilt))


def test_predictions_do_not_look_at_ground_truth():
    batch = tiny.random_batch(4)
    truth = tiny.with_garbage(jax.tree.map(jnp.zeros_like, batch.ground_truth))
    found = tiny.predict(batch)
    assert found.valid.any()
    assert_same(found, tiny.predict(dataclasses.replace(batch, ground_truth=truth)))


# ---- images and objects are independent --------------------------------------------------------


def test_the_order_of_the_objects_changes_nothing():
    batch = tiny.random_batch(5, num_objects=(4, 5))
    order = np.array([3, 0, 4, 2, 1])  # the first image has an empty slot
    moved = jax.tree.map(lambda x: x[:, order], batch.ground_truth)
    again = dataclasses.replace(batch, ground_truth=moved)
    assert_close(loss_and_gradients(batch), loss_and_gradients(again))


def test_detections_do_not_depend_on_the_other_image():
    a, b = tiny.random_batch(6), tiny.random_batch(7)
    mixed = jax.tree.map(lambda x, y: jnp.stack([x[0], y[1]]), a, b)
    assert_same(*(jax.tree.map(lambda x: x[0], tiny.predict(batch)) for batch in (a, mixed)))


def test_the_losses_of_a_batch_are_the_sums_over_its_images():
    batch = tiny.random_batch(8, num_objects=(2, 4))
    twice = [jax.tree.map(lambda x, i=i: x[jnp.asarray([i, i])], batch) for i in (0, 1)]
    both, first, second = map(loss_and_gradients, (batch, *twice))
    sums = [{name: term.sum for name, term in terms.items()} for terms, _ in (both, first, second)]
    counts = [
        {name: term.count for name, term in terms.items()} for terms, _ in (both, first, second)
    ]
    for together, *alone in (sums, counts):
        assert_close(together, jax.tree.map(lambda x, y: (x + y) / 2, *alone))


def test_an_image_without_objects_teaches_only_what_is_background():
    """Its boxes and masks cost nothing; what it has in its slots does not matter."""
    terms, gradients = loss_and_gradients(tiny.random_batch(9, num_objects=(0, 0)))
    for name in ("rpn_box", "roi_box", "roi_mask"):
        assert terms[name].sum == 0
    assert terms["rpn_objectness"].sum > 0
    assert terms["roi_class"].sum > 0
    assert terms["roi_mask"].count == 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients))
    for untrained in (gradients["roi"]["mask_head"], gradients["rpn"]["head"]["deltas"]):
        assert not any(np.any(x) for x in jax.tree.leaves(untrained))


def test_an_object_of_the_smallest_size_gives_finite_gradients():
    batch = tiny.random_batch(10)
    boxes = batch.ground_truth.boxes.at[0, 0].set(jnp.asarray([10, 10, 10.01, 10.01]))
    terms, gradients = loss_and_gradients(replace_truth(batch, boxes=boxes, mask_frames=boxes))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((terms, gradients)))


# ---- predictions -------------------------------------------------------------------------------


def test_detections_are_sorted_inside_the_image_and_have_masks():
    batch = tiny.random_batch(11, sizes=[(50, 90), (64, 70)])
    found = jax.tree.map(np.asarray, tiny.predict(batch))
    assert found.boxes.shape == (2, 10, 4)
    assert found.masks.shape == (2, 10, 28, 28)
    assert found.valid.any()
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores[found.valid] > CONFIG.roi.detections.score_threshold).all()
    assert ((found.masks > 0) & (found.masks < 1)).all()
    assert found.masks.std() > 0.01
    for boxes, (height, width) in zip(found.boxes, np.asarray(batch.sizes), strict=True):
        assert (boxes >= 0).all()
        assert (boxes <= [width, height, width, height]).all()


def test_the_image_decides_what_is_found():
    found, other = tiny.predict(tiny.random_batch(12)), tiny.predict(tiny.random_batch(13))
    assert not np.array_equal(found.boxes, other.boxes)


def test_without_a_mask_branch_masks_have_side_0():
    model, batch = tiny.without_masks(CONFIG).build(), tiny.random_batch(0)
    init = functools.partial(model.init_with_output, tiny.image_keys(1)[0])
    losses, _ = jax.eval_shape(functools.partial(init, method="loss"), batch, tiny.image_keys(2))
    assert set(losses) == {"rpn_objectness", "rpn_box", "roi_class", "roi_box"}
    found, _ = jax.eval_shape(functools.partial(init, method="predict"), batch)
    assert found.masks.shape == (2, 10, 0, 0)


# ---- the input, and the size of the real thing -------------------------------------------------


def test_real_pixels_are_normalised_and_padding_is_zero():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    config = PixelConfig(mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))
    found = normalize(jnp.asarray(images), jnp.asarray([[3, 7], [5, 2]]), config=config)
    expected = (images - np.array(config.mean)) / config.std
    expected[0, 3:], expected[1, :, 2:] = 0, 0
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_a_network_for_bgr_sees_the_channels_the_other_way_round():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    sizes = jnp.asarray([[3, 7], [5, 2]])
    rgb, bgr = (
        normalize(
            jnp.asarray(images),
            sizes,
            config=PixelConfig(
                order=order, mean=(10.0, 20.0, 30.0)[::step], std=(1.0, 2.0, 4.0)[::step]
            ),
        )
        for order, step in (("rgb", 1), ("bgr", -1))
    )
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])


def test_mask_rcnn_r50_fpn_has_torchvisions_parameters():
    """Its 44,401,393 leave frozen norms out, and have boxes and a mask for background too."""
    config = MaskRCNNConfig(num_classes=90)  # torchvision's 91 count the background
    variables = jax.eval_shape(functools.partial(initial_variables, config.build(), seed=0))
    background_boxes, background_mask = 4 * (1024 + 1), 256 + 1
    assert count_parameters(variables["params"]) == 44_401_393 - background_boxes - background_mask
    norm_channels = (23_508_032 - 23_454_912) // 2  # of the ResNet-50: scale and bias
    assert count_parameters(variables["frozen"]) == 4 * norm_channels
    trained, fixed = split(variables, config.frozen_modules())
    assert set(fixed["params"]["backbone"]) == {"stem", "res2"}
    assert count_parameters(trained) + count_parameters(fixed["params"]) == count_parameters(
        variables["params"]
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_with_everything_sampled_the_keys_do_not_matter(seed):
    batch = tiny.random_batch(14)
    assert_close(loss_and_gradients(batch)[0], loss_and_gradients(batch, seed)[0])
