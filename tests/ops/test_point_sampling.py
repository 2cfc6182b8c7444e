import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import point_sampling as ops
from maskrcnn_jax.ops.sampling_grid import Maps

CHANNELS = 2
SHAPES = ((4, 7), (5, 3), (1, 2))  # of the maps, one after another in the list of pixels
POINTS = (
    (0.5, 0.5),  # the centre of the first pixel
    (2.5, 0.5),
    (1.3, 0.7),
    (0, 0),  # a corner of the map: a quarter of the corner's pixel
    (7, 4),
    (0.2, 2.9),  # within half a pixel of a border
    (-0.3, 1.0),  # beyond it, but a pixel is seen
    (7.4, 4.4),
    (-0.5, 0.5),  # exactly where nothing is seen any more
    (50, -1e9),
)
sample = jax.jit(ops.sample_points)
draw = jax.jit(ops.draw_points, static_argnames=("num_points", "oversampling", "importance"))
double = jax.jit(ops.double)


def maps_and_pixels(seed, dtype=np.float64):
    """Three maps, the list of their pixels, and a place of a RoI in each."""
    rng = np.random.default_rng(seed)
    maps = [rng.normal(size=(*shape, CHANNELS)) for shape in SHAPES]
    pixels = jnp.asarray(np.concatenate([x.reshape(-1, CHANNELS) for x in maps]), dtype)
    heights, widths = np.array(SHAPES).T
    offsets = np.cumsum([0, *(heights * widths)[:-1]])
    return maps, pixels, Maps(*map(jnp.asarray, (offsets, heights, widths)))


def bilinear(feature_map, x, y):
    """Pixel by pixel; zeros around the map."""
    height, width = feature_map.shape[:2]
    value = np.zeros(feature_map.shape[2:])
    for row, column in np.ndindex(height, width):
        share = max(0, 1 - abs(x - 0.5 - column)) * max(0, 1 - abs(y - 0.5 - row))
        value += share * feature_map[row, column]
    return value


def test_samples_are_those_of_the_slow_loop(x64):
    maps, pixels, places = maps_and_pixels(0)
    points = np.broadcast_to(POINTS, (3, len(POINTS), 2))
    found = sample(pixels, jnp.asarray(points), places)
    expected = [[bilinear(x, *point) for point in POINTS] for x in maps]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[0, 3], maps[0][0, 0] / 4)
    assert not found[:, -2:].any()


@jax.jit
def gradients(pixels, points, places, wanted):
    """Of the samples' products with ``wanted``."""

    def total(pixels, points):
        return (ops.sample_points(pixels, points, places) * wanted).sum()

    return jax.grad(total, argnums=(0, 1))(pixels, points)


def test_gradients_flow_to_the_pixels_alone(x64):
    """Sampling is linear: the products with the gradient are the samples' with ``wanted``."""
    _, pixels, places = maps_and_pixels(1)
    rng = np.random.default_rng(1)
    points = jnp.asarray(np.broadcast_to(POINTS, (3, len(POINTS), 2)))
    wanted = jnp.asarray(rng.normal(size=(3, len(POINTS), CHANNELS)))
    for_pixels, for_points = gradients(pixels, points, places, wanted)
    products = (sample(pixels, points, places) * wanted).sum()
    np.testing.assert_allclose((for_pixels * pixels).sum(), products, rtol=1e-12)
    assert not for_points.any()


def test_gradients_of_bfloat16_are_summed_in_float32():
    """A running sum in bfloat16 would stop at 256."""
    places = Maps(*(jnp.full(1, n) for n in (0, 1, 1)))
    points, wanted = jnp.full((1, 1000, 2), 0.5), jnp.ones((1, 1000, 1), jnp.bfloat16)
    gradient, _ = gradients(jnp.ones((1, 1), jnp.bfloat16), points, places, wanted)
    assert gradient.dtype == jnp.bfloat16
    assert gradient.item() == 1000


def test_a_grid_has_its_points_at_the_centres_of_cells():
    grid = ops.regular_grid(2, 3)
    assert grid.shape == (2, 9, 2)
    np.testing.assert_allclose(grid[1, 5], [5 / 6, 1 / 2])  # row 1, column 2
    everywhere = jnp.arange(9)[None].repeat(2, axis=0)
    for in_float32 in (True, False):
        cells = ops.cell_centres(everywhere, side=3, in_float32=in_float32)
        np.testing.assert_allclose(cells, grid, rtol=1e-6)
    boxes = jnp.asarray([[10.0, 20, 13, 26], [0, 0, 1, 1]])
    np.testing.assert_allclose(ops.in_boxes(grid, boxes)[0, 5], [12.5, 23])


def test_cells_are_rounded_to_float32_on_request(x64):
    some = jnp.asarray([[5, 17]])
    rounded = ops.cell_centres(some, side=7, in_float32=True)
    np.testing.assert_array_equal(rounded, np.float32(rounded))
    exact = ops.cell_centres(some, side=7, in_float32=False)
    assert rounded.dtype == exact.dtype == np.float64
    np.testing.assert_allclose(exact, [[[5.5 / 7, 0.5 / 7], [3.5 / 7, 2.5 / 7]]], rtol=1e-14)


def test_the_points_that_are_drawn_are_those_of_the_slow_loop():
    rng, key = np.random.default_rng(2), jax.random.key(3)
    logits = rng.normal(size=(4, 3, 3)).astype(np.float32)
    found = draw(jnp.asarray(logits), key, num_points=8, oversampling=3, importance=0.75)
    drawn = np.asarray(jax.random.uniform(key, (4, 26, 2)))
    for i in range(4):
        candidates, anywhere = drawn[i, :24], drawn[i, 24:]
        seen = [bilinear(logits[i], *(3 * point)) for point in candidates]
        best = np.argsort(np.abs(seen), kind="stable")[:6]
        np.testing.assert_array_equal(found[i], np.concatenate([candidates[best], anywhere]))


def test_uncertain_is_what_lies_between_sure_cells():
    """Not the cells that are uncertain themselves: they are 1 and -1 here."""
    logits = jnp.asarray([[[-1.0, 1.0], [-1.0, 1.0]]])
    options = {"num_points": 100, "oversampling": 10}
    points = draw(logits, jax.random.key(0), importance=1.0, **options)
    inside = np.abs(np.asarray(points[0, :, 1]) - 0.5) < 0.25  # no fading above and below
    assert inside.sum() > 20
    assert (np.abs(points[0, inside, 0] - 0.5) < 0.15).all()
    spread = draw(logits, jax.random.key(0), importance=0.0, **options)
    assert np.abs(spread[0, :, 0] - 0.5).max() > 0.4


def test_of_equally_uncertain_places_the_first_are_taken():
    logits = jnp.asarray([[3.0, -1, 1, 0, -1], [2, 2, 2, 2, 2]])
    found = ops.most_uncertain(logits, num_points=3)
    np.testing.assert_array_equal(found, [[3, 1, 2], [0, 1, 2]])


@pytest.mark.parametrize("side", [1, 4])
def test_doubling_equals_the_slow_loop(side, x64):
    logits = np.random.default_rng(4).normal(size=(2, side, side))
    found = double(jnp.asarray(logits))
    extended = np.pad(logits, ((0, 0), (1, 1), (1, 1)), mode="edge")
    for i, row, column in np.ndindex(found.shape):
        y, x = (row + 0.5) / 2 + 1, (column + 0.5) / 2 + 1
        np.testing.assert_allclose(found[i, row, column], bilinear(extended[i], x, y), rtol=1e-12)


def test_cells_are_replaced_where_they_are_named():
    logits = jnp.asarray(np.random.default_rng(5).normal(size=(2, 3, 3)), jnp.float32)
    indices = jnp.asarray([[8, 0], [4, 5]])
    found = ops.replace_cells(logits, indices, jnp.asarray([[10.0, 20], [30, 40]]))
    expected = np.array(logits)
    expected[0, 2, 2], expected[0, 0, 0], expected[1, 1, 1], expected[1, 1, 2] = 10, 20, 30, 40
    np.testing.assert_array_equal(found, expected)
