"""Every kind of problem, found in a data set that has it, and what training then does."""

import json

import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.check import check_split
from maskrcnn_jax.data.coco_format import CocoFormatConfig
from maskrcnn_jax.data.problems import DataError, Effect, Kind
from tests.data.coco_files import write_coco, write_json
from tests.data.odd_images import cmyk_jpeg, png, png_chunk, turned_jpeg

HEIGHT, WIDTH = 24, 32
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
JPEG = cv2.imencode(".jpg", NOISE)[1].tobytes()


def sound():
    """Two images with an object each, without any problem."""
    boxes = [(4, 5, 10, 8), (6, 2, 12, 18)]
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in (1, 2)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}],
        "annotations": [
            {
                "id": 10 + i,
                "image_id": i,
                "category_id": category,
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": 0,
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            }
            for i, category, (x, y, w, h) in zip((1, 2), (1, 5), boxes, strict=True)
        ],
    }


def write_sound(root):
    write_coco(root, sound())
    for i in (1, 2):
        (root / f"images/{i}.png").write_bytes(png(NOISE, colour_type=2))
    return root


def first(**changes):
    """Changes the first annotation."""
    return lambda content: content["annotations"][0].update(changes)


def more(**changes):
    """Adds an annotation like the first one."""

    def add(content):
        new = {"id": 100 + len(content["annotations"])}
        content["annotations"].append(content["annotations"][0] | new | changes)

    return add


def image(**changes):
    return lambda content: content["images"][0].update(changes)


def rle(counts, size=(HEIGHT, WIDTH)):
    return first(segmentation={"size": list(size), "counts": counts})


def corners(content):
    for record in content["annotations"]:
        x, y, width, height = record["bbox"]
        record["bbox"] = [x, y, x + width, y + height]


def flat_boxes(content):
    for record in content["annotations"]:
        record["bbox"][3] = 0


def crowds_only(content):
    for record in content["annotations"]:
        record["iscrowd"] = 1


IN_THE_FILE = {
    Kind.MISSING_KEY: lambda c: c["images"][0].pop("file_name"),
    Kind.WRONG_TYPE: first(bbox="1, 2, 3, 4"),
    Kind.BAD_NUMBER: first(area=float("nan")),
    Kind.BAD_TEXT: image(file_name="\ud800.png"),
    Kind.EMPTY_LIST: lambda c: c["categories"].clear(),
    Kind.REPEATED_ID: more(id=11),
    Kind.UNKNOWN_ID: first(category_id=2),
    Kind.NOTHING_LEFT: flat_boxes,
    Kind.NO_OBJECTS: crowds_only,
    Kind.NO_MASK: lambda c: c["annotations"][0].pop("segmentation"),
    Kind.HALF_POINT: first(segmentation=[[4, 5, 14, 5, 14, 13, 4]]),
    Kind.TOO_FEW_POINTS: first(segmentation=[[4, 5, 14, 13]]),
    Kind.TOO_LONG_OUTLINE: first(segmentation=[[0, 0, 1e9, 0, 1e9, 1e9]]),
    Kind.HUGE_IMAGE: image(height=2**14 + 1, width=2**14),
    Kind.OTHER_RLE_SIZE: rle([768], size=(WIDTH, HEIGHT)),
    Kind.BAD_RLE: rle([700]),
    Kind.BOX_WITHOUT_AREA: more(bbox=[4, 5, 10, 0]),
    Kind.BOX_OUTSIDE: more(bbox=[40, 5, 10, 8]),
    Kind.MASK_WITHOUT_AREA: more(segmentation=[[4, 5, 9, 5, 14, 5]]),
    Kind.STRAY_POINTS: first(segmentation=[[4, 5, 14, 5, 14, 13, 4, 13], [4, 5, 14, 13]]),
    Kind.CROWD: more(iscrowd=1, segmentation={"size": [HEIGHT, WIDTH], "counts": [0, 768]}),
    Kind.CROWD_OF_POLYGONS: more(iscrowd=1),
    Kind.EMPTY_IMAGE: lambda c: c["annotations"].pop(),
    Kind.BOX_STICKS_OUT: first(bbox=[-6, 5, 20, 8]),
    Kind.LIKELY_CORNERS: corners,
    Kind.BOX_OFF_MASK: first(bbox=[20, 15, 10, 8]),
    Kind.OTHER_AREA: first(area=600),
    Kind.TINY_OBJECT: more(bbox=[4, 5, 3, 5], area=15, segmentation=[[4, 5, 7, 5, 7, 10, 4, 10]]),
    Kind.REPEATED_OBJECT: more(),
    Kind.REPEATED_FILE_NAME: image(file_name="2.png"),
    Kind.REPEATED_CATEGORY_NAME: lambda c: c["categories"][0].update(name="dog"),
    Kind.EMPTY_CATEGORY: lambda c: c["categories"].append({"id": 7, "name": "cow"}),
    Kind.MANY_OBJECTS: lambda c: [more(bbox=[4, 5, 10, 8 + i / 99])(c) for i in range(101)],
}
OF_AN_IMAGE = {
    Kind.UNREADABLE_IMAGE: png(NOISE, colour_type=2)[:-9],
    Kind.OTHER_IMAGE_SIZE: png(NOISE[1:], colour_type=2),
    Kind.TURNED_IMAGE: turned_jpeg(cv2.imencode(".jpg", NOISE.swapaxes(0, 1))[1].tobytes(), 6),
    Kind.GREY_IMAGE: png(NOISE[..., 0], colour_type=0),
    Kind.CMYK_IMAGE: cmyk_jpeg((0, 90, 255, 200), blocks=(HEIGHT // 8, WIDTH // 8)),
    Kind.TRANSPARENT_IMAGE: png(
        NOISE, colour_type=2, chunks=(png_chunk(b"tRNS", b"\0\1\0\2\0\3"),)
    ),
    Kind.DEEP_IMAGE: png(NOISE * np.uint16(257), colour_type=2, bits=16),
    Kind.ORIENTED_IMAGE: turned_jpeg(JPEG, 3),
    Kind.MISNAMED_IMAGE: JPEG,
}


def spoilt(spoil):
    content = sound()
    spoil(content)
    return content


def write_text(text):
    return lambda root: write_json(root, text)


CASES = {
    **{
        kind: lambda root, spoil=spoil: write_json(root, spoilt(spoil))
        for kind, spoil in IN_THE_FILE.items()
    },
    **{
        kind: lambda root, encoded=encoded: (root / "images/1.png").write_bytes(encoded)
        for kind, encoded in OF_AN_IMAGE.items()
    },
    Kind.INVALID_JSON: write_text('{"images": ['),
    Kind.REPEATED_KEY: write_text(json.dumps(sound()).replace('"id"', '"id": 3, "id"', 1)),
    Kind.MISSING_IMAGE: lambda root: (root / "images/1.png").rename(root / "images/1.PNG"),
    Kind.NO_IMAGE_FOLDER: lambda root: (root / "images").rename(root / "pictures"),
}


def build(root):
    return CocoFormatConfig(root=root, cache_dir=root / "cache").build("train")


def test_a_sound_data_set_has_no_problems(tmp_path):
    checked = check_split(write_sound(tmp_path), "train")
    assert checked.problems == ()
    assert not checked.stops_training
    assert (checked.num_images, checked.num_objects, checked.most_objects) == (2, 2, 1)


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.name)
def test_each_kind_is_found_and_does_what_it_says(tmp_path, kind):
    root = write_sound(tmp_path)
    CASES[kind](root)
    checked = check_split(root, "train")
    assert kind in [problem.kind for problem in checked.problems]
    assert checked.stops_training == (kind.effect is Effect.STOPS)
    if not checked.stops_training or kind is Kind.NO_OBJECTS:
        build(root)
        return
    stops = [p.kind for p in checked.problems if p.kind.effect is Effect.STOPS]
    with pytest.raises(DataError) as error:
        build(root)
    assert error.value.problem.kind is stops[0]


def test_every_kind_has_a_case():
    """But for a file that cannot be read: see the tests of ``json_fields``."""
    assert set(CASES) == set(Kind) - {Kind.UNREADABLE_FILE}


def test_all_problems_are_listed_at_once(tmp_path):
    def spoil(content):
        content["annotations"][0].update(bbox=[1, 2], area=-1, category_id=9, segmentation=[[1]])
        content["annotations"][1].update(image_id=9, iscrowd=2)
        more(id=12, area="large")(content)
        content["annotations"].append("no object")
        content["images"][1].pop("height")
        content["images"].append({"id": 3, "file_name": "3.png", "height": 5, "width": 5})
        content["categories"][0].pop("name")

    root = write_sound(tmp_path)
    write_json(root, spoilt(spoil))
    (root / "images/1.png").write_bytes(b"")
    path = root / "annotations/instances_train.json"
    found = [str(problem) for problem in check_split(root, "train").problems]
    wanted = [
        "category 1: has no 'name'",
        "image 2: has no 'height'",
        "annotation 11: 'category_id' 9 does not exist; the nearest is 5",
        "annotation 11: 'bbox' is [1, 2]",
        "annotation 11: 'area' is -1",
        "annotation 11: polygon [1] has an odd number of coordinates",
        "annotation 12: 'image_id' 9 does not exist; the nearest is 3",
        "annotation 12: 'iscrowd' is 2",
        "annotations[2]: annotation id 12 occurs twice",
        "annotations[2]: 'bbox' is [1, 2]",
        "annotations[2]: 'category_id' 9 does not exist",
        "annotations[2]: 'area' is 'large'",
        "annotations[2]: polygon [1] has an odd number",
        "annotations[3]: is 'no object', not an object",
        "image 1: 1.png: not a readable image (0 bytes)",
        "image 3: no file '3.png'",
    ]
    for text in wanted:
        assert sum(message.startswith(f"{path}: {text}") for message in found) == 1, text
    assert len(found) == len(wanted)


def test_what_may_be_hidden_by_unreadable_annotations_is_not_said(tmp_path):
    """An image is not called empty when the annotation that was not read may be its own."""
    root = write_sound(tmp_path)
    write_json(root, spoilt(first(area=None)))
    assert [p.kind for p in check_split(root, "train").problems] == [Kind.WRONG_TYPE]


@pytest.mark.parametrize(
    ("box", "is_suspected"),
    [
        ([6, 5, 31, 22], True),  # leaves the image, and would not as corners
        ([20, 5, 19, 10], False),  # leaves the image, but has no corners in this order
        ([6, 5, 40, 22], False),  # leaves the image in any case
        ([4, 5, 14, 13], True),  # stays inside, but fits the mask as corners only
        ([4, 5, 10, 8], False),
        ([0, 0, 15, 14], False),  # around the mask in any case
    ],
)
def test_boxes_are_taken_for_corners_when_most_fit_better_as_such(tmp_path, box, is_suspected):
    def spoil(content):
        for i in range(3):
            more(bbox=box, id=20 + i)(content)

    root = write_sound(tmp_path)
    write_json(root, spoilt(spoil))
    kinds = [problem.kind for problem in check_split(root, "train").problems]
    assert (Kind.LIKELY_CORNERS in kinds) == is_suspected


def test_crowds_are_no_more_than_crowds(tmp_path):
    """Nobody looks at their boxes and areas."""
    root = write_sound(tmp_path)
    write_json(root, spoilt(more(iscrowd=1, bbox=[-9, 0, 12, 1], area=0)))
    assert [p.kind for p in check_split(root, "train").problems] == [Kind.CROWD_OF_POLYGONS]


def test_a_name_without_suffix_says_no_format(tmp_path):
    root = write_sound(tmp_path)
    write_json(root, spoilt(image(file_name="1")))
    (root / "images/1.png").rename(root / "images/1")
    assert check_split(root, "train").problems == ()
