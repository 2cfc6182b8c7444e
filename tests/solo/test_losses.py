import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.losses import dice
from maskrcnn_jax.solo import losses
from maskrcnn_jax.solo.losses import mask_loss
from maskrcnn_jax.solo.targets import CellTargets

rng = np.random.default_rng(0)
NUM_CELLS, E, G = 23, 4, 3
KERNELS = jnp.asarray(rng.normal(size=(NUM_CELLS, E)), jnp.float32)
FEATURES = jnp.asarray(rng.normal(size=(6, 8, E)), jnp.float32)
OBJECTS = jnp.asarray(rng.random((G, 6, 8)) < 0.4)


def targets_of(positive):
    return CellTargets(
        matched=jnp.asarray(rng.integers(0, G, NUM_CELLS)), positive=jnp.asarray(positive)
    )


@pytest.mark.parametrize("num_positives", [0, 1, 7, 12, NUM_CELLS])
def test_groups_of_cells_give_what_all_cells_at_once_give(num_positives, monkeypatch):
    monkeypatch.setattr(losses, "_AT_A_TIME", 5)
    targets, most = targets_of(rng.permutation(NUM_CELLS) < num_positives), max(12, num_positives)

    def in_groups(kernels, features):
        return mask_loss(kernels, features, OBJECTS, targets, max_positives=most).sum

    def at_once(kernels, features):
        logits = jnp.einsum("ce,hwe->chw", kernels, features)
        return dice(logits, OBJECTS[targets.matched].astype(jnp.float32), targets.positive).sum

    found, expected = (
        jax.value_and_grad(f, argnums=(0, 1))(KERNELS, FEATURES) for f in (in_groups, at_once)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected)
    term = mask_loss(KERNELS, FEATURES, OBJECTS, targets, max_positives=most)
    assert term.count == num_positives
