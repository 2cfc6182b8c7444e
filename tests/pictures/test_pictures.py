import dataclasses

import cv2
import jax
import numpy as np
import pytest

from maskrcnn_jax.pictures.canvas import canvas, scale_of
from maskrcnn_jax.pictures.inputs import draw_semantic_map, input_tile
from maskrcnn_jax.pictures.outputs import detection_tile, proposal_tile
from maskrcnn_jax.pictures.sheet import Tile, encode_picture, sheet
from maskrcnn_jax.structures import UNKNOWN_LABEL, Detections, Proposals
from tests import tiny
from tests.data.samples import make_dataset, make_record

NAMES = ["cat", "dog", "bird"]
SIZE = (48, 80)  # of the real pixels, in 64x96


@pytest.fixture(scope="module")
def example():
    """An image with two objects, padded, without a batch axis."""
    batch = tiny.random_batch(0, num_objects=(2,), sizes=(SIZE,))
    return jax.tree.map(lambda x: np.asarray(x[0]), batch)


@pytest.fixture(scope="module")
def dataset():
    records = [make_record(np.zeros((96, 160, 3), np.uint8), name="a/b.png")]
    categories = [type("Category", (), {"name": name}) for name in NAMES]
    return dataclasses.replace(make_dataset(records), categories=categories)


def with_truth(example, **changes):
    return dataclasses.replace(
        example, ground_truth=dataclasses.replace(example.ground_truth, **changes)
    )


def changed(picture, other):
    return (picture != other).any(-1)


def test_enlarged_images_show_the_pixels_of_the_network(example):
    picture, scale = canvas(example), scale_of(example)
    assert picture.shape == (341, 512, 3)
    rows, columns = ((np.arange(n) + 0.5) * scale for n in SIZE)
    seen = picture[np.ix_(rows.astype(int), columns.astype(int))]
    np.testing.assert_array_equal(seen, example.images[: SIZE[0], : SIZE[1]])


def test_padding_is_hatched(example):
    picture = canvas(example)
    below = round(SIZE[0] * scale_of(example))
    assert set(np.unique(picture[below:])) == {24, 72}
    assert abs((picture[below:] == 72).mean() - 0.5) < 0.02


def test_large_images_are_made_smaller():
    batch = tiny.random_batch(0, num_objects=(0,))
    large = jax.tree.map(lambda x: np.asarray(x[0]), batch)
    images, size = np.zeros((832, 1344, 3), np.uint8), np.array([832, 1344])
    assert canvas(dataclasses.replace(large, images=images, sizes=size)).shape == (555, 896, 3)


def test_objects_are_drawn_where_they_are(example, dataset):
    picture = input_tile(example, dataset).picture
    shown, scale = changed(picture, canvas(example)), scale_of(example)
    for x1, y1, x2, y2 in example.ground_truth.boxes[:2] * scale:
        assert shown[int(y1 + y2) // 2, int(x1 + x2) // 2]
        assert shown[round(y1) : round(y2), round(x1)].mean() > 0.95  # a side of the box


def test_what_is_not_valid_is_not_drawn(example, dataset):
    garbage = tiny.with_garbage(example.ground_truth)
    tile = input_tile(dataclasses.replace(example, ground_truth=garbage), dataset)
    np.testing.assert_array_equal(tile.picture, input_tile(example, dataset).picture)
    nothing = with_truth(example, valid=np.zeros(tiny.NUM_SLOTS, bool))
    tile = input_tile(nothing, dataset)
    np.testing.assert_array_equal(tile.picture, canvas(example))
    assert tile.lines == ("a/b.png (id 1)", "96x160, as 48x80 in 64x96; 0 objects")


def test_a_semantic_map_lies_beside_its_image(example, dataset):
    cells = np.full((8, 12), UNKNOWN_LABEL, np.uint8)
    cells[:3, :5] = 17
    mapped = with_truth(example, semantic_map=cells)
    picture, alone = draw_semantic_map(mapped), canvas(example)
    both = input_tile(mapped, dataset).picture
    np.testing.assert_array_equal(both[:, picture.shape[1] :], picture)
    assert set(np.unique(picture[200:300, 300:400])) == {24, 72}
    assert changed(picture, alone)[5:100, 60:180].mean() > 0.95
    np.testing.assert_array_equal(
        draw_semantic_map(with_truth(example, semantic_map=np.full_like(cells, UNKNOWN_LABEL)))[
            200:300, 300:400
        ],
        picture[200:300, 300:400],
    )


def proposals_of(boxes, *, num_valid):
    boxes = np.asarray(boxes, np.float32)
    valid = np.arange(len(boxes)) < num_valid
    return Proposals(boxes=boxes, scores=np.zeros(len(boxes)), valid=valid)


def test_proposals_are_told_by_what_they_cover(example):
    truth = example.ground_truth.boxes
    nonsense = [np.nan, 0, np.inf, 3]
    tile = proposal_tile(example, proposals_of([truth[1], [0, 0, 2, 2], nonsense], num_valid=3))
    assert tile.lines == (
        "best 2 of 2 proposals",
        "all of them cover 1 of 2 objects (IoU 0.5)",
    )
    x1, y1, _, y2 = truth[1] * scale_of(example)
    assert (tile.picture[round(y1 + 2) : round(y2 - 2), round(x1)] == (70, 220, 90)).all()
    tile = proposal_tile(example, proposals_of([truth[1]], num_valid=0))
    assert tile.lines[0] == "best 0 of 0 proposals"
    np.testing.assert_array_equal(tile.picture, canvas(example))


def detections_of(example, *, side=28, score=0.9):
    truth = example.ground_truth
    num = len(truth.labels)
    return Detections(
        boxes=truth.boxes,
        scores=np.full(num, score, np.float32),
        labels=truth.labels,
        masks=np.ones((num, side, side), np.float32),
        mask_frames=truth.boxes,
        mask_scores=np.full(num, score, np.float32),
        valid=truth.valid,
    )


@pytest.mark.parametrize("side", [28, 0])
def test_detections_are_drawn_with_and_without_masks(example, side):
    tile = detection_tile(example, detections_of(example, side=side), names=NAMES, paste="exact")
    assert tile.lines[0] == "2 detections of score 0.3 or more; best 0.90"
    shown, scale = changed(tile.picture, canvas(example)), scale_of(example)
    x1, y1, x2, y2 = example.ground_truth.boxes[1] * scale
    assert shown[round(y1) + 2, round(x1 + x2) // 2 : round(x2)].all() or side == 0
    assert shown[round(y1) : round(y2), round(x1)].mean() > 0.9


def test_weak_detections_are_told_but_not_drawn(example):
    detections = detections_of(example, score=0.2)
    tile = detection_tile(example, detections, names=NAMES, paste="whole_pixels")
    assert tile.lines[0] == "0 detections of score 0.3 or more; best 0.20"
    np.testing.assert_array_equal(tile.picture, canvas(example))
    detections = dataclasses.replace(detections, valid=np.zeros(tiny.NUM_SLOTS, bool))
    tile = detection_tile(example, detections, names=NAMES, paste="exact")
    assert tile.lines[0] == "0 detections of score 0.3 or more"


def test_a_sheet_holds_every_tile_whole():
    rng = np.random.default_rng(0)
    sizes = [(100, 200), (120, 80), (90, 200), (50, 60), (100, 200)]
    tiles = [
        Tile(picture=rng.integers(0, 255, (*size, 3), np.uint8), lines=("a long line " * 9, "x"))
        for size in sizes
    ]
    whole = sheet(tiles, columns=2)
    assert whole.shape[1] == 2 * 200 + 3 * 8
    top = 8 + 40
    np.testing.assert_array_equal(whole[top : top + 100, 8:208], tiles[0].picture)
    np.testing.assert_array_equal(whole[top : top + 120, 216:296], tiles[1].picture)
    assert (whole[:, 208:216] == 255).all()
    assert sheet(tiles[:1]).shape == (8 + 40 + 100 + 8, 216, 3)
    height, width, _ = sheet(tiles * 20).shape
    assert height / width == pytest.approx(1, abs=0.4)


def test_an_encoded_picture_is_rgb():
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 0] = 255
    decoded = cv2.imdecode(np.frombuffer(encode_picture(red), np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(decoded, red)
