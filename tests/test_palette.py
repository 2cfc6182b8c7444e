import numpy as np

from maskrcnn_jax.palette import identity_colours


def test_an_identity_has_its_colour_whoever_else_is_there():
    together = identity_colours(np.array([3, 1, 2]))
    np.testing.assert_array_equal(identity_colours(np.array([1])), together[1:2])
    assert identity_colours(np.array([], int)).shape == (0, 3)


def test_objects_seen_together_differ_and_those_without_identity_are_grey():
    colours = identity_colours(np.arange(13)).astype(int)
    difference = np.abs(colours[:, None] - colours).sum(-1)
    assert difference[~np.eye(13, dtype=bool)].min() > 40
    assert len(set(colours[0])) == 1
