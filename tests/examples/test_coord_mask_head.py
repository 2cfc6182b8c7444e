"""What the head itself does; ``test_variants`` trains, saves and restores a detector with it."""

import functools
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from examples.coord_mask_head import CoordMaskHeadConfig, cell_coordinates
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from tests import tiny
from tests.roi.mask.inputs import detections_of, random_inputs

ROOT = Path(__file__).resolve().parents[2]
CONFIG = CoordMaskHeadConfig(
    pooling=RoIAlignConfig(output_size=7, samples_per_cell=1), num_convs=1, channels=8
)


def test_coordinates_are_centres_of_cells_between_minus_one_and_one():
    where = cell_coordinates(4)
    centres = [-0.75, -0.25, 0.25, 0.75]
    np.testing.assert_array_equal(where[2, :, 0], centres)
    np.testing.assert_array_equal(where[:, 2, 1], centres)


def test_the_head_tells_places_apart_where_all_features_are_equal():
    """A convolution alone gives every cell away from the border the same."""
    features, positives, _ = random_inputs(0)
    inputs = (jax.tree.map(jnp.ones_like, features), detections_of(positives))
    head = CONFIG.build(tiny.NUM_CLASSES)
    init = functools.partial(head.init, jax.random.key(0), method="predict")
    predict = jax.jit(functools.partial(head.apply, method="predict"))
    masks = predict(tiny.variables_like(init, *inputs), *inputs).masks
    assert masks.shape[2:] == (CONFIG.side, CONFIG.side)
    inside = np.asarray(masks)[0, 0, 4:10:2, 4:10:2]  # the same corner of each cell's 2x2 patch
    assert np.ptp(inside, axis=0).min() > 1e-4
    assert np.ptp(inside, axis=1).min() > 1e-4


def test_importing_the_presets_makes_checkpoints_with_the_head_readable():
    """As eval.py and predict.py do, which read a checkpoint without having loaded a preset."""
    program = "import sys, configs; print('examples.coord_mask_head' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "True\n"
