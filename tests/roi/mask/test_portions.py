"""Whatever is left out, the results are those of all places at once."""

import dataclasses
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.norms import BatchNormConfig, GroupNormConfig
from maskrcnn_jax.roi.mask import portions
from maskrcnn_jax.roi.mask.boundary import BoundaryMaskHeadConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.portions import in_portions
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from tests import tiny
from tests.roi.mask.inputs import detections_of, random_inputs, with_garbage

FCN = FCNMaskHeadConfig(
    pooling=RoIAlignConfig(output_size=4, samples_per_cell=1),
    num_convs=2,
    channels=16,
    norm=GroupNormConfig(groups=4),
)
HEADS = {
    "fcn": FCN,
    "boundary": BoundaryMaskHeadConfig(fcn=FCN),
    "scoring": MaskScoringConfig(head=FCN, pooling=FCN.pooling, channels=16, hidden=32),
}
PLACES = 7  # not a multiple of any portion below


class Doubling(nn.Module):
    """Doubles numbers, and says how many it was given."""

    norm: Any = None

    @nn.compact
    def __call__(self, valid, *numbers):
        factor = self.param("factor", lambda _: jnp.full(3, 2.0))

        def look(self, valid, *numbers):
            del self
            jax.debug.callback(lambda valid: calls.append(len(valid)), valid)
            return {"valid": valid, "doubled": [factor * x for x in numbers]}

        return in_portions(look, self, valid, *numbers, norm=self.norm)


calls: list[int] = []


def doubled(valid, *numbers, norm=None):
    """What is found, and how many places were looked at in each call."""
    jax.effects_barrier()
    calls.clear()
    function = jax.jit(Doubling(norm).apply)
    found = function({"params": {"factor": jnp.full(3, 2.0)}}, jnp.asarray(valid), *numbers)
    jax.effects_barrier()
    return found, sorted(calls)


# Places of an image in a portion at most; those of both images in each; portions that are run when
# the first image has three valid places and the second one.
@pytest.mark.parametrize(("places", "size", "runs"), [(1, 2, 3), (2, 4, 2), (3, 6, 1), (6, 8, 1)])
def test_portions_without_a_valid_place_are_not_run(monkeypatch, places, size, runs):
    monkeypatch.setattr(portions, "_PLACES", places)
    numbers = np.arange(1.0, 2 * PLACES * 3 + 1, dtype=np.float32).reshape(2, PLACES, 3)
    valid = np.arange(PLACES) < [[3], [1]]
    found, sizes = doubled(valid, numbers, -numbers)
    assert sizes == [size] * runs
    was_run = np.arange(PLACES) < runs * size // 2
    expected = np.where(was_run[:, None], 2 * numbers, 0).reshape(-1, 3)
    np.testing.assert_array_equal(found["doubled"][0], expected)
    np.testing.assert_array_equal(found["doubled"][1], -expected)
    np.testing.assert_array_equal(found["valid"], valid.reshape(-1))


def test_valid_places_may_be_anywhere(monkeypatch):
    monkeypatch.setattr(portions, "_PLACES", 2)
    numbers = np.ones((2, PLACES, 3), np.float32)
    valid = np.arange(PLACES) == [[4], [6]]
    found, sizes = doubled(valid, numbers)
    assert sizes == [4, 4]
    np.testing.assert_array_equal(found["doubled"][0][valid.reshape(-1)], 2)


@pytest.mark.parametrize(("places", "norm"), [(PLACES, None), (2, BatchNormConfig())])
def test_few_places_and_those_that_depend_on_each_other_are_looked_at_at_once(
    monkeypatch, places, norm
):
    monkeypatch.setattr(portions, "_PLACES", places)
    numbers = np.ones((2, PLACES, 3), np.float32)
    found, sizes = doubled(np.zeros((2, PLACES), bool), numbers, norm=norm)
    assert sizes == [2 * PLACES]
    np.testing.assert_array_equal(found["doubled"][0], 2)


@pytest.mark.parametrize("name", HEADS)
def test_heads_find_in_portions_what_they_find_at_once(monkeypatch, name):
    """Losses, their gradients, and masks of valid places; what is in the others does not matter."""
    head: Any = HEADS[name].build(tiny.NUM_CLASSES)
    features, positives, truth = random_inputs(0, count=PLACES)
    given, keys = (features, positives, truth), tiny.image_keys(2)
    init = partial(head.init, method="loss")
    variables: Any = tiny.variables_like(init, jax.random.key(0), *given, keys)

    def everything(variables, positives):
        def loss(variables, features):
            terms = head.apply(variables, features, positives, truth, keys, method="loss").terms
            return sum(term.mean for term in terms.values()), terms

        valid = positives.valid
        detections = detections_of(positives)
        found = head.apply(variables, features, detections, method="predict")
        kept = (found.masks * valid[..., None, None], found.mask_scores * valid)
        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(variables, features), kept

    at_once = jax.jit(everything).lower(variables, positives).compile()
    monkeypatch.setattr(portions, "_PLACES", 2)
    divided = jax.jit(lambda *given: everything(*given)).lower(variables, positives).compile()
    for counts in [(6, 2), (1, 0), (0, 0)]:
        valid = jnp.arange(PLACES) < jnp.asarray(counts)[:, None]
        positives = dataclasses.replace(positives, valid=valid)
        expected = at_once(variables, positives)
        ((_, terms), (slopes, _)), (masks, _) = expected
        assert (terms["roi_mask"].count > 0) == any(counts)
        assert bool(masks.any()) == any(counts)
        assert bool(np.abs(slopes["params"]["conv1"]["kernel"]).max() > 1e-4) == any(counts)
        found = divided(variables, with_garbage(positives))
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), found, expected)


def test_what_layers_find_is_captured_of_all_places(monkeypatch):
    head = FCN.build(tiny.NUM_CLASSES)
    features, positives, _ = random_inputs(0, count=PLACES)
    given = (features, detections_of(positives))
    variables = tiny.variables_like(partial(head.init, method="predict"), jax.random.key(0), *given)
    captured = partial(
        head.apply, method="predict", capture_intermediates=True, mutable=["intermediates"]
    )
    _, expected = jax.jit(captured)(variables, *given)
    monkeypatch.setattr(portions, "_PLACES", 2)
    _, found = jax.jit(lambda *given: captured(*given))(variables, *given)
    of_first_layer = jax.tree.leaves(found["intermediates"]["conv1"])
    assert {x.shape for x in of_first_layer} == {(2 * PLACES, 4, 4, 16)}
    jax.tree.map(np.testing.assert_array_equal, found, expected)
