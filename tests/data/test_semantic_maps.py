import dataclasses
import struct
import zlib
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from maskrcnn_jax.data.coco_format import CocoFormatConfig
from maskrcnn_jax.data.examples import training_example
from maskrcnn_jax.data.pipeline import count_object_slots, train_batches
from maskrcnn_jax.data.plan import Entry
from maskrcnn_jax.data.semantic_maps import (
    SemanticMaps,
    require_every_map,
    resize_map,
    semantic_maps,
)
from maskrcnn_jax.data.views import View
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.structures import abstract_batch
from tests.data import coco_files
from tests.data.samples import index_only, make_annotation, make_config, make_record

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE, PADDED = (48, 80), (64, 96)
NUM_LABELS = 12


def blocks(seed):
    """A map of blocks of 16x16 pixels; one class is unknown."""
    labels = np.random.default_rng(seed).integers(0, NUM_LABELS, (3, 5)).astype(np.uint8)
    labels[0, 0] = 255
    return labels.repeat(16, 0).repeat(16, 1)


def write_map(folder, labels, name="image.png"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(cv2.imencode(".png", labels)[1].tobytes())


def picture(labels):
    """An image that shows its map."""
    return np.repeat(labels[..., None], 3, axis=-1)


def example(folder, entry, records):
    return training_example(
        records,
        entry,
        padded_size=PADDED,
        num_slots=3,
        config=make_config(),
        maps=SemanticMaps(folder=folder, num_labels=NUM_LABELS),
    )


def assert_maps_show_the_image(batch):
    """In every cell whose first pixel lies within a block, and in the padding."""
    image, labels = batch.images[..., 0].astype(int), batch.ground_truth.semantic_map
    assert labels.shape == (PADDED[0] // 8, PADDED[1] // 8)
    assert labels.dtype == np.uint8
    height, width = batch.sizes
    compared = 0
    for y, x in np.ndindex(labels.shape):
        row, column = 8 * y, 8 * x
        if row >= height or column >= width:
            assert labels[y, x] == 255
            continue
        around = image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        if (around == 128).all():  # the grey around a small image
            assert labels[y, x] == 255
        elif (around == around[0, 0]).all():
            assert labels[y, x] == around[0, 0]
            compared += 1
    return compared


@pytest.mark.parametrize(
    "view",
    [
        {},
        {"flip": True},
        {"size": (33, 55), "canvas": (33, 55), "flip": True},
        {"size": (61, 91), "canvas": (61, 91)},
        {"window": (7, 5, 71, 45), "size": (50, 80), "canvas": (50, 80)},
        {"window": (7, 5, 71, 45), "size": (25, 40), "canvas": (64, 96), "flip": True},
    ],
    ids=["whole", "flip", "smaller", "larger", "crop", "jitter"],
)
def test_a_map_moves_with_its_image(view, tmp_path):
    whole = {"window": (0, 0, 80, 48), "size": SIZE, "canvas": SIZE, "flip": False}
    write_map(tmp_path, blocks(0))
    records = {5: make_record(picture(blocks(0)), [make_annotation((0, 0, 9, 9))])}
    entry = Entry(view=View(index=5, **(whole | view)))
    assert assert_maps_show_the_image(example(tmp_path, entry, records)) >= 5


@pytest.mark.parametrize("size", [(3, 5), (5, 7), (2, 3), (7, 1)])
def test_a_resized_map_has_the_class_in_which_the_centre_lies(size):
    labels = np.random.default_rng(0).integers(0, 256, (4, 6)).astype(np.uint8)
    found = resize_map(labels, size)
    for i, j in np.ndindex(*size):
        row, column = int((i + 0.5) * 4 / size[0]), int((j + 0.5) * 6 / size[1])
        assert found[i, j] == labels[row, column]


def test_pasted_objects_bring_their_part_of_the_map(tmp_path):
    below, above = np.full(SIZE, 1, np.uint8), np.full(SIZE, 2, np.uint8)
    write_map(tmp_path, below, "below.png")
    write_map(tmp_path, above, "above.png")
    records = {
        5: make_record(picture(below), [make_annotation((0, 0, 9, 9))], name="below.jpg"),
        6: make_record(picture(above), [make_annotation((16, 8, 32, 24))], name="above.jpg"),
    }
    views = [
        View(index=index, window=(0, 0, 80, 48), size=SIZE, canvas=SIZE, flip=False)
        for index in (5, 6)
    ]
    entries = [Entry(view=views[0], source=views[1], seed=seed) for seed in range(8)]
    batches = [example(tmp_path, entry, records) for entry in entries]
    for batch in batches:
        assert_maps_show_the_image(batch)
    num_pasted = {int((batch.ground_truth.semantic_map == 2).sum()) for batch in batches}
    assert num_pasted == {0, 4 * 3}


def test_without_maps_there_are_none():
    records = {5: make_record(picture(blocks(0)), [make_annotation((0, 0, 9, 9))])}
    view = View(index=5, window=(0, 0, 80, 48), size=SIZE, canvas=SIZE, flip=False)
    batch = training_example(
        records, Entry(view=view), padded_size=PADDED, num_slots=3, config=make_config()
    )
    assert batch.ground_truth.semantic_map is None


def png(bits):
    """A PNG of zeros with so many bits for each pixel."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    height, width = SIZE
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + width * bits // 8) * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"b/image\.png: no such file.* the map of b/image\.jpg"),
        (np.zeros((80, 48), np.uint8), r"the map is 80x48 .* its image 48x80"),
        (np.full(SIZE, 12, np.uint8), r"class 12 in row 0, column 0; the classes are 0 to 11"),
        (np.zeros((*SIZE, 3), np.uint8), r"not a PNG of one channel of 8 bits"),
        (np.zeros(SIZE, np.uint16), r"not a PNG of one channel of 8 bits"),
        (b"\x89PNG\r\n\x1a\n", r"not a readable PNG"),
        (b"some text", r"not a readable PNG"),
        (png(4), r"not a PNG of one channel of 8 bits"),  # OpenCV would stretch its values
        (png(8)[:-20] + b"x" * 8 + png(8)[-12:], r"the PNG is damaged"),
    ],
    ids=["missing", "size", "class", "colours", "16 bits", "cut off", "text", "4 bits", "damaged"],
)
def test_wrong_maps_are_refused_by_name(labels, message, tmp_path):
    record = make_record(picture(blocks(0)), name="b/image.jpg")
    if isinstance(labels, bytes):
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "image.png").write_bytes(labels)
    elif labels is not None:
        write_map(tmp_path / "b", labels)
    with pytest.raises(InputError, match=message) as error:
        SemanticMaps(folder=tmp_path, num_labels=NUM_LABELS).read(record)
    assert str(error.value).startswith(str(tmp_path / "b" / "image.png"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return coco_files.write_coco(tmp_path_factory.mktemp("root"), coco_files.content())


def test_maps_are_found_beside_the_images(root, tmp_path):
    dataset = CocoFormatConfig(root=root, cache_dir=tmp_path).build("train")
    config = make_config(batch_size=1, semantic_labels=NUM_LABELS)
    folder = root / "stuffthingmaps" / "train"
    with pytest.raises(InputError, match=rf"has no semantic maps.*{folder}"):
        train_batches(dataset, config, seed=0)
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"\w\.png: no such file.* the map of \w\."):
        require_every_map(dataset, config)
    labels = np.full((coco_files.HEIGHT, coco_files.WIDTH), 3, np.uint8)
    for name in dataset.images.file_names:
        write_map(folder, labels, str(Path(name).with_suffix(".png")))
    require_every_map(dataset, config)
    stream = train_batches(dataset, config, seed=0)
    batch = next(stream)
    stream.close()
    assert (batch.ground_truth.semantic_map[0][:4, :6] == 3).all()
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), batch)
    slots = {"num_slots": count_object_slots(dataset, config), "mask_size": config.mask_size}
    expected = abstract_batch(1, (32, 64), **slots, has_semantic_map=True)
    assert shapes == jax.tree.map(lambda x: (x.shape, x.dtype), expected)


def test_a_data_set_without_a_folder_has_no_maps():
    dataset = index_only([SIZE], [1])
    assert semantic_maps(dataset, make_config()) is None
    with pytest.raises(InputError, match=r"sample train has no semantic maps.*--data\.root"):
        semantic_maps(dataset, make_config(semantic_labels=NUM_LABELS))
    with pytest.raises(InputError, match=r"semantic_labels must be between 1 and 255, not 256"):
        dataclasses.replace(make_config(), semantic_labels=256)
