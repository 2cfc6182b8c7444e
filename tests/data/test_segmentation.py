import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from maskrcnn_jax.data import rle_texts
from maskrcnn_jax.data.rle_texts import are_valid
from maskrcnn_jax.data.segmentation import check_segmentation, has_area, rle_counts
from maskrcnn_jax.errors import InputError

HEIGHT, WIDTH = 9, 13
MASKS = arrays(np.uint8, (HEIGHT, WIDTH), elements=st.integers(0, 1))
TRIANGLE = [0, 0, 4, 0, 4, 4]


def check(segmentation):
    return check_segmentation(segmentation, height=HEIGHT, width=WIDTH)


def encode(mask):
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def runs(mask):
    """The runs of a mask down its columns, by the obvious loop."""
    pixels = mask.T.ravel().tolist()
    groups = [len(list(group)) for _, group in itertools.groupby(pixels)]
    return groups if pixels[0] == 0 else [0, *groups]


@given(MASKS)
def test_compressed_counts_are_the_runs_of_the_mask(mask):
    assert rle_counts(encode(mask)) == runs(mask)


@given(MASKS)
def test_every_rle_of_a_mask_is_valid_and_has_its_area(mask):
    for rle in (encode(mask), {"size": [HEIGHT, WIDTH], "counts": runs(mask)}):
        assert check(rle) is rle
        assert has_area(rle, height=HEIGHT, width=WIDTH) == mask.any()


@given(st.text(max_size=12) | st.lists(st.integers(-3, 200)))
def test_counts_that_are_taken_cover_the_image_exactly(counts):
    rle = {"size": [HEIGHT, WIDTH], "counts": counts}
    try:
        check(rle)
    except InputError:
        return
    assert sum(rle_counts(rle)) == HEIGHT * WIDTH
    assert min(rle_counts(rle)) >= 0


@pytest.mark.parametrize(
    ("polygons", "expected"),
    [
        ([TRIANGLE], True),
        ([[0, 0, 0, 4, 4, 4]], True),  # the other way round
        ([[1.1, 388.33, 1.1, 388.33, 2.5, 388.33, 2.5, 388.33]], False),  # as in COCO train2017
        ([[3.3, 0, 3.3, 5, 3.3, 9]], False),
        ([[3.3, 0, 3.3, 5, 3.3, 9], TRIANGLE], True),
        ([[520, 20, 530, 20, 530, 30]], False),  # outside the image
        ([[490, 20, 530, 20, 530, 30]], True),
    ],
)
def test_polygons_have_area_if_they_enclose_some(polygons, expected):
    assert check(polygons) == polygons
    assert has_area(polygons, height=500, width=500) == expected


@given(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=9), st.floats(-1e4, 1e4))
def test_an_outline_straight_along_an_axis_has_no_area(along, across):
    for outline in ([(x, across) for x in along], [(across, y) for y in along]):
        polygon = [value for point in outline for value in point]
        assert not has_area([polygon], height=500, width=500)


def test_polygons_of_two_points_are_left_out_beside_sound_ones():
    assert check([[1, 2, 3, 4], TRIANGLE, []]) == [TRIANGLE]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "list of polygons or an RLE"),
        ([], "list of polygons or an RLE"),
        ("0T2d`0", "list of polygons or an RLE"),
        ([[]], "fewer than three points"),
        ([[0, 0, 4, 4]], "fewer than three points"),
        ([[1, 2], [3, 4], [5, 6]], "fewer than three points"),
        ([[0, 0, 4, 0, 4, 4, 1]], "odd number"),
        (TRIANGLE, "not a polygon"),
        ([[[0, 0], [4, 0], [4, 4]]], "not a polygon"),
        ([[0, [0], 4, 0, 4, 4]], "not a polygon"),
        ([[0, 0, 4, 0, 4, float("nan")]], "not a finite number"),
        ([[0, 0, 4, 0, 4, float("inf")]], "not a finite number"),
        ([[0, 0, 4, 0, 4, "4"]], "not a finite number"),
        ([[0, 0, 4, 0, 4, True]], "not a finite number"),
        ([[0, 0, 4, 0, 4, 10**400]], "not a finite number"),
        ([[0, 0, 4, 0, 4, None]], "not a finite number"),
        ({"counts": [117]}, "of size None"),
        ({"size": [WIDTH, HEIGHT], "counts": [117]}, r"\[13, 9\], but its image is \[9, 13\]"),
        ({"size": [float(HEIGHT), WIDTH], "counts": [117]}, r"of size \[9.0, 13\]"),
        ({"size": [HEIGHT, WIDTH]}, "without 'counts'"),
        ({"size": [HEIGHT, WIDTH], "counts": 117}, "without 'counts'"),
        ({"size": [HEIGHT, WIDTH], "counts": [100, 16]}, "add up to 116"),
        ({"size": [HEIGHT, WIDTH], "counts": [118, -1]}, "integers of at least 0"),
        ({"size": [HEIGHT, WIDTH], "counts": [117.0]}, "integers of at least 0"),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, "add up to 0"),
        ({"size": [HEIGHT, WIDTH], "counts": "e3 "}, "text of a COCO RLE"),
        ({"size": [HEIGHT, WIDTH], "counts": "P" * 7 + "0"}, "text of a COCO RLE"),
        ({"size": [HEIGHT, WIDTH], "counts": "e"}, "middle of a number"),
    ],
)
def test_what_is_malformed_is_refused(segmentation, message):
    with pytest.raises(InputError, match=message):
        check(segmentation)


@pytest.mark.parametrize(
    "polygon",
    [
        [0, 0, 2**24, 0, 4, 4],  # one point far out
        [1e300, 0, 1e300 + 4, 0, 1e300, 4],  # all of them
        [0, 0, -(2**24), 0, 0, 4],
        [value for i in range(10) for value in (2e6 * (i % 2), i)],  # a long way to and fro
    ],
)
def test_outlines_are_refused_that_pycocotools_would_crash_on(polygon):
    with pytest.raises(InputError, match="longer or lies farther out than 16777216 pixels"):
        check([polygon])


def test_long_outlines_with_many_points_are_valid():
    """Their length counts, not that of the polygon if each edge crossed all of it."""
    angles = np.linspace(0, 2 * np.pi, 2000)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * 10_000
    assert check([circle.ravel().tolist()])
    assert len(circle) * 2 * 20_000 > 2**24


def is_valid(text):
    try:
        return bool(check({"size": [HEIGHT, WIDTH], "counts": text}))
    except InputError:
        return False


def test_many_codes_at_once_are_judged_as_one_by_one(monkeypatch):
    """Codes of masks, half of them spoilt, in portions of a few each."""
    monkeypatch.setattr(rle_texts, "_CHARACTERS", 200)
    rng = np.random.default_rng(0)
    texts = ["", "é", "0", "000", "P", "PPPPPPPP0", "oooooo0", "ooooooo0", "n" * 40]
    for number in range(1500):
        mask = (rng.random((HEIGHT, WIDTH)) < rng.random()).astype(np.uint8)
        text = encode(mask)["counts"]
        place = rng.integers(len(text))
        texts.append(text)
        texts.append(text[:place] + chr(rng.integers(40, 120)) + text[place + number % 2 :])
        texts.append(text[:place])
    valid = are_valid(texts, [HEIGHT * WIDTH] * len(texts))
    assert valid.tolist() == [is_valid(text) for text in texts]
    assert 1500 < valid.sum() < 2000


def test_no_codes_at_all():
    assert are_valid([], []).shape == (0,)
    assert not are_valid(["", ""], [1, 1]).any()
