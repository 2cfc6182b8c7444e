from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.evaluation.rle import encode_pasted
from maskrcnn_jax.inference.outputs import check_outputs, cutout, instance_map, write_outputs
from maskrcnn_jax.ops import paste

SIZE = (40, 60)
NAMES = ("dog", "traffic light/red")
EVERYTHING = ("pictures", "maps", "cutouts")


def found(count=6, *, seed=0):
    """Overlapping blobs, the first ones better."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-1, 30, (count, 2))
    boxes = np.clip(np.hstack([low, low + rng.uniform(5, 30, (count, 2))]), 0, [60, 40, 60, 40])
    masks = rng.random((count, 7, 7))
    return ImageDetections(
        boxes=boxes,
        scores=np.linspace(0.9, 0.3, count),
        mask_scores=np.linspace(0.1, 0.9, count),
        labels=np.arange(count) % 2,
        segmentations=[
            encode_pasted(m, b, height=40, width=60) for m, b in zip(masks, boxes, strict=True)
        ],
        size=SIZE,
        class_names=NAMES,
    )


def image():
    return np.random.default_rng(1).integers(0, 255, (*SIZE, 3), np.uint8)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_the_map_is_the_instance_map_of_the_detector():
    detections = found()
    expected = paste.instance_map(
        jnp.asarray(np.asarray(detections.masks)),
        jnp.asarray(detections.scores),
        valid=jnp.ones(6, bool),
    )
    numbers = instance_map(detections, np.arange(6), size=SIZE)
    assert numbers.dtype == np.uint16
    assert len(np.unique(expected)) > 3
    np.testing.assert_array_equal(numbers, expected)


def test_numbers_stay_those_of_the_results_when_others_are_left_out():
    detections, shown = found(), np.array([1, 4])
    numbers = instance_map(detections, shown, size=SIZE)
    second, fifth = np.asarray(detections.masks)[shown]
    np.testing.assert_array_equal(numbers, np.where(second, 2, np.where(fifth, 5, 0)))
    assert not instance_map(detections, np.array([], int), size=SIZE).any()


@pytest.mark.parametrize("index", range(6))
def test_a_cutout_is_the_box_with_its_mask_as_transparency(index):
    detections, picture = found(), image()
    cut = cutout(picture, detections, index)
    x1, y1, x2, y2 = detections.boxes[index]
    rows = np.flatnonzero((np.arange(40) + 1 > y1) & (np.arange(40) < y2))
    columns = np.flatnonzero((np.arange(60) + 1 > x1) & (np.arange(60) < x2))
    inside = np.ix_(rows, columns)
    np.testing.assert_array_equal(cut[..., :3], picture[inside])
    np.testing.assert_array_equal(cut[..., 3] == 255, detections.masks[index][inside])


def test_everything_is_written_where_it_is_said(tmp_path):
    detections, picture, shown = found(), image(), np.array([0, 3])
    for others in ([], ["cutouts/sub/a/of_the_user.png"]):
        write_outputs(
            *(tmp_path, Path("sub/a.png"), picture, detections), shown=shown, outputs=EVERYTHING
        )
        files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
        assert files == {
            "sub/a.png",
            "maps/sub/a.png",
            "cutouts/sub/a/1_dog.png",
            "cutouts/sub/a/4_traffic_light_red.png",
            *others,
        }
        (tmp_path / "cutouts/sub/a/9_dog.png").write_bytes(b"of another prediction")
        (tmp_path / "cutouts/sub/a/of_the_user.png").write_bytes(b"")
    numbers = read(tmp_path / "maps/sub/a.png")
    np.testing.assert_array_equal(numbers, instance_map(detections, shown, size=SIZE))
    cut = cv2.cvtColor(read(tmp_path / "cutouts/sub/a/1_dog.png"), cv2.COLOR_BGRA2RGBA)
    np.testing.assert_array_equal(cut, cutout(picture, detections, 0))


def test_nothing_found_is_an_empty_map_and_no_cutouts(tmp_path):
    none = found().select(np.array([], int))
    write_outputs(
        *(tmp_path, Path("a.png"), image(), none), shown=np.array([], int), outputs=EVERYTHING
    )
    assert read(tmp_path / "maps/a.png").shape == SIZE
    assert not read(tmp_path / "maps/a.png").any()
    assert not list(tmp_path.glob("cutouts/**/*.png"))


def check(outputs, names, *, out=Path("out"), has_masks=True):
    images = {Path(name): Path("in") / name for name in names}
    check_outputs(outputs, images, out=out, has_masks=has_masks)


def test_what_cannot_be_written_is_refused_before():
    names = ["a.png", "sub/maps/a.png"]
    check(EVERYTHING, names)
    check(["pictures"], names, has_masks=False)
    for output in ("maps", "cutouts"):
        with pytest.raises(InputError, match=f"--save {output} needs masks"):
            check([output], names, has_masks=False)
        inside = [f"{output}/a.png"]
        check([output], inside)
        with pytest.raises(InputError, match=f"in a folder '{output}' would lie among"):
            check(["pictures", output], inside)


@pytest.mark.parametrize(
    ("output", "folder"), [("pictures", ""), ("maps", "maps"), ("cutouts", "cutouts/a")]
)
def test_no_image_is_replaced_however_its_place_is_spelled(tmp_path, output, folder):
    """Cut-outs may remove what lies in their folder."""
    real = tmp_path / "out" / folder
    real.mkdir(parents=True)
    (real / "a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for place in (tmp_path / "out", tmp_path / "link", tmp_path / "out/../out"):
        images = {Path("a.png"): place / folder / "a.png"}
        with pytest.raises(InputError, match="would be written; give another --out"):
            check_outputs([output], images, out=tmp_path / "out", has_masks=True)
        check_outputs([output], images, out=tmp_path / "other", has_masks=True)
