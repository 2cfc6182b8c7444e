import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.ops.resize import resize
from maskrcnn_jax.solo.detections import SOLODetectionConfig, detect, is_local_maximum, mask_boxes
from maskrcnn_jax.solo.grids import min_areas
from tests.ops.test_matrix_nms import slow as slow_matrix_nms
from tests.solo.models import GRIDS

CONFIG = SOLODetectionConfig(score_threshold=0.4, max_candidates=30, min_score=0.1)
H, W, K, E = 16, 24, 3, 6
NUM_CELLS = sum(grid.side**2 for grid in GRIDS)
run = jax.jit(functools.partial(detect, grids=GRIDS, config=CONFIG))


def random_cells(seed):
    """Masks of all sizes: the first feature is constant, and its weights raise or lower them."""
    rng = np.random.default_rng(seed)
    smooth = resize(jnp.asarray(rng.normal(size=(1, 5, 6, E)), jnp.float32), (H, W))[0]
    kernels = rng.normal(0, 1, (NUM_CELLS, E))
    kernels[:, 0] = rng.uniform(-5, 1, NUM_CELLS)
    return {
        "logits": rng.normal(-1, 1, (NUM_CELLS, K)).astype(np.float32),
        "kernels": kernels.astype(np.float32),
        "features": 2 * np.asarray(smooth.at[..., 0].set(1)),
        "size": np.array([4 * H, 4 * W - 9]),
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


def slow_detections(logits, kernels, features, size):
    """(score, label, mask) of each detection, best first: one pair of cell and class at a time."""
    del size
    pairs, start, too_small = [], 0, 0
    for grid in GRIDS:
        for cell in range(grid.side**2):
            row, column = divmod(cell, grid.side)
            mask = sigmoid(features @ kernels[start + cell])
            inside = mask > 0.5
            for label in range(K):
                score = logits[start + cell, label]
                before = [
                    logits[start + y * grid.side + x, label]
                    for y in (row - 1, row)
                    for x in (column - 1, column)
                    if y >= 0 and x >= 0
                ]
                if score < max(before) or sigmoid(score) <= CONFIG.score_threshold:
                    continue
                too_small += 0 < inside.sum() <= grid.min_area
                if inside.sum() > grid.min_area:
                    pairs.append((sigmoid(score) * mask[inside].mean(), label, mask))
        start += grid.side**2
    assert too_small
    pairs = sorted(pairs, key=lambda pair: -pair[0])[: CONFIG.max_candidates]
    scores, labels = (np.array(x) for x in list(zip(*pairs, strict=True))[:2])
    masks = np.array([pair[2] for pair in pairs])
    lowered = slow_matrix_nms(masks > 0.5, scores, labels, np.ones(len(pairs), bool))
    order = [i for i in np.argsort(-lowered) if lowered[i] >= CONFIG.min_score]
    return lowered[order], labels[order], masks[order]


@pytest.mark.parametrize("seed", range(3))
def test_detections_are_those_of_the_slow_loop(seed):
    given = random_cells(seed)
    scores, labels, masks = slow_detections(**given)
    found = run(**given)
    assert 4 < found.valid.sum() == len(scores) <= CONFIG.max_candidates
    keep = found.valid
    np.testing.assert_allclose(found.scores[keep], scores, rtol=1e-4)
    np.testing.assert_array_equal(found.labels[keep], labels)
    np.testing.assert_allclose(found.masks[keep][:, 1:-1, 1:-1], masks, atol=1e-4)
    assert (found.boxes[keep][:, 2] <= given["size"][1]).all()


def test_a_kernel_that_is_not_finite_finds_nothing_and_hides_no_other():
    given = random_cells(0)
    silent = dict(given, logits=given["logits"].copy())
    silent["logits"][5:200:7] = -50
    spoilt = dict(silent, kernels=given["kernels"].copy())
    spoilt["kernels"][5:200:7] = np.nan
    found, expected = run(**spoilt), run(**silent)
    for name in ("valid", "scores", "labels", "boxes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_array_equal(found.masks[found.valid], expected.masks[found.valid])


def test_without_candidates_there_are_no_detections():
    given = random_cells(0)
    found = run(**given | {"logits": np.full_like(given["logits"], -9)})
    assert not found.valid.any()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))


def test_equal_neighbours_are_all_maxima():
    assert is_local_maximum(jnp.zeros((NUM_CELLS, K)), grids=GRIDS).all()
    assert len(min_areas(GRIDS)) == NUM_CELLS


def test_pasted_masks_are_what_interpolation_without_a_border_gives():
    """PyTorch's ``interpolate`` repeats the border; pasting lets a mask fade beyond its frame."""
    found = run(**random_cells(1))
    upsampled = resize(found.masks[:, 1:-1, 1:-1, None], (4 * H, 4 * W))[..., 0]
    for mask, frame, whole in zip(found.masks, found.mask_frames, upsampled, strict=True):
        pasted = rle.encode_pasted(
            np.asarray(mask), np.asarray(frame), height=4 * H, width=4 * W - 9
        )
        np.testing.assert_array_equal(rle.decode(pasted), np.asarray(whole)[:, :-9] >= 0.5)


def test_boxes_are_where_the_masks_reach_one_half():
    """Of the interpolated mask, on pixels of 4/9 that are small enough to meet its peaks.

    Boxes may be larger by a part of a cell, but not smaller.
    """
    masks = run(**random_cells(2)).masks[:, 1:-1, 1:-1]
    fine = np.asarray(resize(masks[..., None], (9 * H, 9 * W))[..., 0]) > 0.5
    boxes = np.asarray(mask_boxes(masks))
    assert fine.any((1, 2)).sum() > 5
    for box, mask in zip(boxes, fine, strict=True):
        if mask.any():
            y, x = np.nonzero(mask)
            exact = 4 / 9 * np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
            larger = np.concatenate([(exact - box)[:2], (box - exact)[2:]])
            assert (larger > -0.5).all()
            assert (larger < 2).all()


def test_an_empty_mask_has_no_area():
    box = mask_boxes(jnp.zeros((1, H, W)))[0]
    assert box[2] - box[0] == box[3] - box[1] == 0
