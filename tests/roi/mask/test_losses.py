import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.mask.losses import mask_loss, select_class
from tests import tiny

K = tiny.NUM_CLASSES


def random_logits(seed, *, count=6, side=8, classes=K):
    rng = np.random.default_rng(seed)
    return {
        "logits": jnp.asarray(rng.normal(size=(count, side, side, classes)), jnp.float32),
        "targets": jnp.asarray(rng.random((count, side, side)) < 0.5, jnp.float32),
        "labels": jnp.asarray(rng.integers(0, K, count)),
        "valid": jnp.arange(count) < count - 2,
    }


def class_loss(logits, targets, labels, valid):
    return mask_loss(select_class(logits, labels), targets, valid)


@jax.jit
def loss_and_gradient(logits, targets, labels, valid):
    return jax.value_and_grad(lambda x: class_loss(x, targets, labels, valid).sum)(logits)


@pytest.mark.parametrize("classes", [K, 1])
def test_the_loss_equals_the_slow_loop(classes):
    given = random_logits(0, classes=classes)
    expected = 0.0
    for i in range(4):
        channel = int(given["labels"][i]) if classes > 1 else 0
        p = 1 / (1 + np.exp(-np.float64(given["logits"][i, :, :, channel])))
        expected -= np.where(given["targets"][i] > 0, np.log(p), np.log(1 - p)).sum()
    loss = class_loss(**given)
    np.testing.assert_allclose(loss.sum, expected, rtol=1e-5)
    assert loss.count == 4 * 8 * 8


def test_only_the_mask_of_the_true_class_is_trained():
    given = random_logits(1)
    _, gradient = loss_and_gradient(**given)
    trained = np.all(np.asarray(gradient) != 0, axis=(1, 2))
    touched = np.any(np.asarray(gradient) != 0, axis=(1, 2))
    true_class = np.asarray(given["labels"])[:, None] == np.arange(K)
    expected = true_class & np.asarray(given["valid"])[:, None]
    np.testing.assert_array_equal(trained, expected)
    np.testing.assert_array_equal(touched, expected)


def test_invalid_entries_may_hold_anything():
    given = random_logits(2)
    valid = given["valid"]
    spoilt = {
        "logits": jnp.where(valid[:, None, None, None], given["logits"], jnp.nan),
        "targets": jnp.where(valid[:, None, None], given["targets"], jnp.nan),
        "labels": jnp.where(valid, given["labels"], 2**30),
        "valid": valid,
    }
    jax.tree.map(
        np.testing.assert_array_equal, loss_and_gradient(**given), loss_and_gradient(**spoilt)
    )


def test_without_positives_the_loss_and_its_gradient_are_zero():
    given = random_logits(3) | {"valid": jnp.zeros(6, bool)}
    loss, gradient = loss_and_gradient(**given)
    assert loss == 0
    assert not np.any(gradient)
    assert class_loss(**given).mean == 0


def test_the_class_picks_the_mask():
    logits = random_logits(4)["logits"]
    labels = jnp.asarray([0, 1, 2, 2, 1, 0])
    picked = select_class(logits, labels)
    expected = np.stack([logits[i, :, :, label] for i, label in enumerate(labels)])
    np.testing.assert_array_equal(picked, expected)
    np.testing.assert_array_equal(select_class(logits[..., :1], labels + 5), logits[..., 0])
