import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_jax.ops import nms as nms_module

NUM = 40
nms = jax.jit(nms_module.nms, static_argnames=("iou_threshold", "num_outputs"))


def random_candidates(seed, num=NUM, *, extent=12, num_labels=3, num_scores=10):
    """Whole numbers, so that overlaps are exact and ties of score and overlap are common."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, extent, (num, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 10, (num, 2))], 1)
    return {
        "boxes": boxes.astype(np.float32),
        "scores": rng.integers(0, num_scores, num).astype(np.float32),
        "valid": rng.random(num) < 0.9,
        "labels": rng.integers(0, num_labels, num).astype(np.int32),
    }


def greedy(boxes, scores, valid, labels, *, iou_threshold):
    """The definition: from the best down, keep what no kept box of the label overlaps too much."""
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        others = boxes[kept]
        sides = np.minimum(boxes[i, 2:], others[:, 2:]) - np.maximum(boxes[i, :2], others[:, :2])
        common = np.maximum(sides, 0).prod(1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        union = areas[i] + areas[kept] - common
        overlaps = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
        suppressed = (overlaps > np.float32(iou_threshold)) & (labels[kept] == labels[i])
        if valid[i] and not suppressed.any():
            kept.append(i)
    return kept


def assert_keeps(kept, expected):
    count = min(len(expected), len(kept.valid))
    np.testing.assert_array_equal(kept.valid, np.arange(len(kept.valid)) < count)
    np.testing.assert_array_equal(kept.indices[:count], expected[:count])
    assert not kept.indices[count:].any()


@settings(max_examples=150)
@given(st.integers(0, 100_000), st.sampled_from([0.1, 0.5, 0.95]))
def test_output_is_the_greedy_definition(seed, iou_threshold):
    candidates = random_candidates(seed)
    kept = nms(**candidates, iou_threshold=iou_threshold, num_outputs=NUM)
    assert_keeps(kept, greedy(**candidates, iou_threshold=iou_threshold))


@given(st.integers(0, 100_000))
def test_only_the_best_outputs_are_returned(seed):
    candidates = random_candidates(seed)
    kept = nms(**candidates, iou_threshold=0.5, num_outputs=7)
    assert_keeps(kept, greedy(**candidates, iou_threshold=0.5))


@functools.cache
def many_candidates():
    """Several blocks of the implementation; the 1200th kept box is not in the last ones."""
    candidates = random_candidates(0, 2500, extent=70, num_scores=400)
    kept = greedy(**candidates, iou_threshold=0.3)
    better = candidates["scores"] > candidates["scores"][kept[1199]]
    assert 1024 < (better & candidates["valid"]).sum() < 2000
    return candidates, kept


@pytest.mark.parametrize("num_outputs", [100, 1200, 2500])
def test_greedy_over_more_boxes_than_fit_in_a_block(num_outputs):
    candidates, expected = many_candidates()
    kept = nms(**candidates, iou_threshold=0.3, num_outputs=num_outputs)
    assert_keeps(kept, expected)


def in_small_blocks(monkeypatch, *, num_outputs):
    """Images, and what is kept of each: blocks of 8, of which 4 are sorted at first.

    Some scores are 0, of either sign, or equal.
    """
    monkeypatch.setattr(nms_module, "_BLOCK", 8)
    monkeypatch.setattr(nms_module, "_SORTED_FIRST", 32)
    images = [random_candidates(seed, 150, extent=60, num_scores=5) for seed in range(4)]
    for image in images:
        image["scores"] -= 2
        image["scores"][::3] *= -0.0
    images[1]["valid"][30:] = False  # of this one nothing more has to be sorted
    options = {"iou_threshold": 0.3, "num_outputs": num_outputs}
    together = jax.tree.map(lambda *x: jnp.stack(x), *images)
    batched = jax.jit(jax.vmap(lambda image: nms_module.nms(**image, **options)))(together)
    for row, image in enumerate(images):
        yield image, jax.tree.map(lambda x, row=row: x[row], batched)


@pytest.mark.parametrize("num_outputs", [3, 150])
def test_what_is_sorted_only_when_it_is_needed(monkeypatch, num_outputs):
    for image, kept in in_small_blocks(monkeypatch, num_outputs=num_outputs):
        assert_keeps(kept, greedy(**image, iou_threshold=0.3))


@pytest.mark.usefixtures("x64")
def test_the_rest_is_sorted_where_integers_are_wide_too(monkeypatch):
    for image, kept in in_small_blocks(monkeypatch, num_outputs=40):
        assert kept.indices.dtype == np.int32
        assert_keeps(kept, greedy(**image, iou_threshold=0.3))


def test_a_long_chain_of_suppressions_keeps_every_other_box():
    """Each box overlaps the next by 2/3 and the one after by 3/7."""
    left = 2.0 * jnp.arange(NUM)
    boxes = jnp.stack([left, 0 * left, left + 10, 0 * left + 10], 1)
    valid, labels = jnp.ones(NUM, bool), jnp.zeros(NUM, jnp.int32)
    kept = nms(boxes, -left, valid, labels=labels, iou_threshold=0.5, num_outputs=NUM)
    assert_keeps(kept, list(range(0, NUM, 2)))


def test_an_overlap_equal_to_the_threshold_does_not_suppress():
    """The second box overlaps the first by 1/2, the third by a little more."""
    boxes = jnp.array([[0.0, 0, 4, 4], [0, 0, 4, 8], [0, -3.9, 4, 4]])
    kept = nms(boxes, -jnp.arange(3.0), jnp.ones(3, bool), iou_threshold=0.5, num_outputs=3)
    assert_keeps(kept, [0, 1])


def test_without_labels_all_boxes_are_of_one_kind():
    candidates = random_candidates(1)
    unlabelled = {k: v for k, v in candidates.items() if k != "labels"}
    kept = nms(**unlabelled, iou_threshold=0.5, num_outputs=NUM)
    expected = greedy(**unlabelled, labels=np.zeros(NUM, int), iou_threshold=0.5)
    assert_keeps(kept, expected)
    assert len(expected) < len(greedy(**candidates, iou_threshold=0.5))


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e30])
def test_garbage_in_invalid_entries_changes_nothing(garbage):
    candidates = random_candidates(2)
    clean = nms(**candidates, iou_threshold=0.5, num_outputs=NUM)
    invalid = ~candidates["valid"]
    assert invalid.any()
    candidates["boxes"][invalid] = candidates["scores"][invalid] = garbage
    candidates["labels"][invalid] = -1
    dirty = nms(**candidates, iou_threshold=0.5, num_outputs=NUM)
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_worst_score_is_still_better_than_an_invalid_entry():
    candidates = random_candidates(3)
    candidates["scores"] = np.full(NUM, -np.inf, np.float32)
    kept = nms(**candidates, iou_threshold=0.5, num_outputs=NUM)
    assert_keeps(kept, greedy(**candidates, iou_threshold=0.5))


def test_no_number_is_no_score():
    candidates = random_candidates(3)
    candidates["scores"][::4] = np.nan
    kept = nms(**candidates, iou_threshold=0.5, num_outputs=NUM)
    candidates["valid"] &= ~np.isnan(candidates["scores"])
    assert_keeps(kept, greedy(**candidates, iou_threshold=0.5))


def test_nothing_valid_keeps_nothing():
    candidates = random_candidates(4) | {"valid": np.zeros(NUM, bool)}
    assert_keeps(nms(**candidates, iou_threshold=0.5, num_outputs=NUM), [])


def test_candidates_in_another_order_give_the_same_boxes():
    candidates = random_candidates(5)
    candidates["scores"] = np.random.default_rng(0).permutation(NUM).astype(np.float32)  # no ties
    order = np.random.default_rng(1).permutation(NUM)
    kept = nms(**candidates, iou_threshold=0.5, num_outputs=NUM)
    moved = nms(**{k: v[order] for k, v in candidates.items()}, iou_threshold=0.5, num_outputs=NUM)
    np.testing.assert_array_equal(kept.valid, moved.valid)
    count = int(kept.valid.sum())
    np.testing.assert_array_equal(kept.indices[:count], order[moved.indices[:count]])


def test_vmap_equals_the_loop_and_jit_the_eager_call():
    images = [random_candidates(seed) for seed in range(3)]
    images[1]["valid"][:] = False  # its loop ends at once, the others' go on
    together = jax.tree.map(lambda *x: jnp.stack(x), *images)
    options = {"iou_threshold": 0.5, "num_outputs": NUM}
    batched = jax.vmap(lambda image: nms(**image, **options))(together)
    alone = [nms(**image, **options) for image in images]
    eager = nms_module.nms(**jax.tree.map(jnp.asarray, images[0]), **options)
    for i, single in [*enumerate(alone), (0, eager)]:
        for a, b in zip(batched, single, strict=True):
            np.testing.assert_array_equal(a[i], b)
