import numpy as np
import pytest

from maskrcnn_jax.data.shapes.layout import MAX_SHAPES, draw_layout
from maskrcnn_jax.data.shapes.painting import paint

SIZE = 96
LAYOUTS = [draw_layout(np.random.default_rng(seed), image_size=SIZE) for seed in range(80)]


def masks_of(shapes):
    return paint(shapes, np.random.default_rng(0), image_size=SIZE)[1]


def test_there_are_one_to_eight_shapes_of_every_class_and_size():
    counts = [len(layout) for layout in LAYOUTS]
    assert set(counts) == set(range(1, MAX_SHAPES + 1))
    shapes = [shape for layout in LAYOUTS for shape in layout]
    assert {shape.label for shape in shapes} == set(range(6))
    radii = np.array([shape.radius for shape in shapes])
    assert radii.min() < SIZE / 9
    assert radii.max() > SIZE / 2.2


def test_shapes_hide_parts_of_others_but_never_most_of_one():
    shares = np.concatenate(
        [
            masks_of(layout).sum((1, 2)) / [masks_of([shape]).sum() for shape in layout]
            for layout in LAYOUTS
        ]
    )
    assert shares.min() > 0.25
    assert 0.1 < np.mean(shares < 0.95) < 0.6


def test_most_of_every_shape_lies_in_the_image():
    for layout in LAYOUTS:
        for shape in layout:
            assert shape.radius / 2 <= shape.x <= SIZE - shape.radius / 2
            assert shape.radius / 2 <= shape.y <= SIZE - shape.radius / 2


@pytest.mark.parametrize("size", [32, 500])
def test_layouts_scale_with_the_image(size):
    layout = draw_layout(np.random.default_rng(3), image_size=size)
    radii = [shape.radius for shape in layout]
    expected = [shape.radius * size / SIZE for shape in LAYOUTS[3]]
    assert radii == pytest.approx(expected)
