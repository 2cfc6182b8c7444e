"""Matching: the case of Detectron2's test_matcher.py."""

import functools

import jax
import numpy as np

from maskrcnn_jax.ops.matching import match


def test_matches_and_labels_of_the_rpn():
    """The fourth anchor is positive because it is the best of two objects, one of them in a tie."""
    overlaps = [[0.15, 0.45, 0.2, 0.6], [0.3, 0.65, 0.05, 0.1], [0.05, 0.4, 0.25, 0.4]]
    of_rpn = functools.partial(match, positive_from=0.7, negative_below=0.3, keep_best=True)
    matches = jax.jit(of_rpn)(np.float32(overlaps), np.ones(3, bool))
    np.testing.assert_array_equal(matches.index, [1, 1, 2, 0])
    labels = np.where(matches.positive, 1, np.where(matches.negative, 0, -1))
    np.testing.assert_array_equal(labels, [-1, 1, 0, 1])
