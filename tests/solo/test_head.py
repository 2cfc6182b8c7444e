import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.mask_features import MaskFeaturesConfig
from maskrcnn_jax.norms import GroupNormConfig
from maskrcnn_jax.solo.head import SOLOHeadConfig
from tests import tiny
from tests.solo.models import GRIDS

NORM = GroupNormConfig(groups=2)
HEAD = SOLOHeadConfig(grids=GRIDS, num_convs=1, channels=4, norm=NORM).build(3, 5)
FEATURES = {
    level: jnp.asarray(
        np.random.default_rng(level).normal(size=(1, 128 >> level, 128 >> level, 4)), jnp.float32
    )
    for level in range(2, 7)
}
VARIABLES = tiny.variables_like(HEAD.init, jax.random.key(0), FEATURES)
run: Any = jax.jit(functools.partial(HEAD.apply, VARIABLES))


def test_each_grid_sees_its_own_level():
    """But the coarsest, whose level only takes the size of the one before it."""
    before = run(FEATURES)
    assert before.logits.shape == (1, sum(grid.side**2 for grid in GRIDS), 3)
    assert before.kernels.shape == (*before.logits.shape[:2], 5)
    starts = np.cumsum([0, *(grid.side**2 for grid in GRIDS)])
    for index, level in enumerate(FEATURES):
        after = run(FEATURES | {level: FEATURES[level] + jnp.arange(4.0)})
        for a, b in zip(after, before, strict=True):
            changed = np.flatnonzero((a != b).any((0, 2)))
            assert (changed >= starts[index]).all()
            assert (changed < starts[index + 1]).all()
            assert len(changed) > GRIDS[index].side


def test_kernels_know_their_place_and_classes_do_not():
    flat = run(jax.tree.map(jnp.ones_like, FEATURES))
    inner = np.arange(64).reshape(8, 8)[2:-2, 2:-2].ravel()  # away from the zeros of padding
    logits, kernels = flat.logits[0, inner], flat.kernels[0, inner]
    np.testing.assert_allclose(logits, np.broadcast_to(logits[0], logits.shape), atol=1e-4)
    assert (np.ptp(kernels, axis=0) > 0.01).all()


def test_at_first_every_class_has_a_probability_of_one_in_a_hundred():
    init: Any = jax.jit(HEAD.init_with_output)
    cells, _ = init(jax.random.key(0), jax.tree.map(jnp.zeros_like, FEATURES))
    np.testing.assert_allclose(jax.nn.sigmoid(cells.logits), 0.01, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_mask_features_are_one_map_of_all_levels(dtype):
    """Of stride 4 and in full precision."""
    module = MaskFeaturesConfig(channels=4, outputs=6, norm=NORM).build()
    features = {level: x.astype(dtype) for level, x in FEATURES.items()}
    variables = tiny.variables_like(module.init, jax.random.key(0), features)
    apply: Any = jax.jit(functools.partial(module.apply, variables))
    before = apply(features)
    assert (before.shape, before.dtype) == ((1, 32, 32, 6), jnp.float32)
    for level in FEATURES:
        after = apply(features | {level: features[level] * jnp.arange(4).astype(dtype)})
        assert (after != before).any() == (level <= 5)
