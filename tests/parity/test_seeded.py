"""The rule of the goldens' weights, by hand and against the program that made the goldens."""

import json
import runpy

import numpy as np
import pytest

from tests.parity.seeded import seeded_tensor, seeded_tensors


@pytest.mark.parametrize(
    ("name", "shape", "deviation"),
    [
        ("backbone.bottom_up.res2.0.conv1.weight", (256, 64, 1, 1), np.sqrt(2 / 64)),
        ("backbone.bottom_up.stem.conv1.weight", (64, 3, 7, 7), np.sqrt(2 / 147) / 60),
        ("backbone.fpn_lateral2.weight", (256, 256, 1, 1), np.sqrt(0.04 / 256)),
        ("roi_heads.mask_head.deconv.weight", (256, 128, 2, 2), np.sqrt(2 / 256)),
        ("roi_heads.box_predictor.cls_score.bias", (4000,), 0.1),
    ],
)
def test_deviation_follows_from_the_name(name, shape, deviation):
    tensor = seeded_tensor(name, shape)
    assert tensor.shape == shape
    assert tensor.dtype == np.float64
    np.testing.assert_allclose(tensor.std(), deviation, rtol=0.05)
    np.testing.assert_array_equal(tensor, seeded_tensor(name, shape))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("res2.0.conv1.norm.running_var", 0.5, 1.5),
        ("res2.0.conv1.norm.weight", 0.7, 1.3),
        ("layer1.0.bn3.weight", 0.1, 0.3),
    ],
)
def test_ranges_of_norms(name, low, high):
    tensor = seeded_tensor(name, (4000,))
    assert low <= tensor.min() < low + 0.01
    assert high - 0.01 < tensor.max() <= high


def test_equals_the_program_that_made_the_goldens(shared):
    """For every name of every golden; shapes are cut short to save time."""
    seeded_state = runpy.run_path(str(shared / "tools/seeded_weights.py"))["seeded_state"]
    shapes = {
        name: tuple(min(side, 9) for side in shape)
        for file in sorted((shared / "golden").glob("*.shapes.json"))
        for name, shape in json.loads(file.read_text()).items()
    }
    assert len(shapes) > 500
    ours, theirs = seeded_tensors(shapes), seeded_state(shapes)
    differing = [name for name in shapes if not np.array_equal(ours[name], theirs[name])]
    assert differing == []
