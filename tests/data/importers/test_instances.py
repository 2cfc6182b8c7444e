import struct
import zlib

import numpy as np
import pytest

from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.data.importers.instances import read_instances
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from tests.data.importers.exports import HEIGHT, WIDTH, photograph, write_ids, write_photograph


def draw_ids(*numbers):
    """A column of pixels of each number beside the last one."""
    ids = np.zeros((HEIGHT, WIDTH), int)
    for place, number in enumerate(numbers):
        ids[5:15, 6 * place : 6 * place + 4] = number
    return ids


def read(folder, *classes):
    return read_instances(folder / "masks", images=folder / "photos", classes=classes)


def with_palette(ids):
    """As annotation tools and Pascal VOC write it: numbers of colours."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in ids)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(range(256)) * 3)
        + chunk(b"tRNS", b"\0")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_the_layout_of_penn_fudan(tmp_path, capfd):
    """Numbers of objects from 1, also as colours; masks are named after their images."""
    ids = draw_ids(1, 2, 255)
    write_photograph(tmp_path / "photos" / "FudanPed00001.png")
    write_photograph(tmp_path / "photos" / "sub" / "b_1.jpg", photograph(suffix=".jpg"))
    write_photograph(tmp_path / "photos" / "sub" / "b.png")  # has no mask
    write_ids(tmp_path / "masks" / "FudanPed00001_mask.png", ids.astype(np.uint8))
    write_photograph(tmp_path / "masks" / "sub" / "b_1.png", with_palette(ids))
    found = read(tmp_path, "person")
    content = to_coco(found.images, found.categories, found.left_out)
    assert [image["file_name"] for image in content["images"]] == [
        "FudanPed00001.png",
        "sub/b_1.jpg",
    ]
    assert content["categories"] == [{"id": 1, "name": "person"}]
    for item, id in zip(content["annotations"], (1, 2, 255) * 2, strict=True):
        np.testing.assert_array_equal(rle.decode(item["segmentation"]), ids == id)
    assert capfd.readouterr().err.count("libpng") == 0


def test_thousands_are_classes_where_there_are_several(tmp_path):
    write_photograph(tmp_path / "photos" / "a.png")
    write_ids(tmp_path / "masks" / "a.png", draw_ids(2000, 1001, 1000).astype(np.uint16))
    labels = [drawing.label for drawing in read(tmp_path, "cat", "dog").images[0].drawings]
    assert labels == ["cat", "cat", "dog"]
    for wrong in (3000, 999):
        write_ids(tmp_path / "masks" / "a.png", draw_ids(2000, wrong).astype(np.uint16))
        with pytest.raises(InputError, match=rf"a\.png: {wrong}: says none of the 2 classes"):
            read(tmp_path, "cat", "dog")


def test_what_does_not_fit_is_refused(tmp_path):
    write_photograph(tmp_path / "photos" / "a.png")
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="masks: is no folder with PNG files"):
        read(tmp_path, "cat")
    mask = write_ids(tmp_path / "masks" / "ab.png", draw_ids(1).astype(np.uint8))
    with pytest.raises(InputError, match=r"ab\.png: there is no image in .*photos"):
        read(tmp_path, "cat")
    mask = mask.rename(tmp_path / "masks" / "a-b.png")
    assert len(read(tmp_path, "cat").images) == 1
    write_photograph(mask)  # in colours
    with pytest.raises(InputError, match=r"a-b\.png: is no PNG of one channel"):
        read(tmp_path, "cat")
    write_ids(mask, draw_ids(1)[1:].astype(np.uint8))
    with pytest.raises(InputError, match="image of 60 x 39"):
        read(tmp_path, "cat")
    with pytest.raises(InputError, match="--classes NAME"):
        read(tmp_path)


def test_photographs_that_only_their_suffixes_tell_apart_are_refused(tmp_path):
    """As where photographs and images of numbers lie in one folder."""
    write_photograph(tmp_path / "photos" / "a.jpg", photograph(suffix=".jpg"))
    write_ids(tmp_path / "photos" / "a.png", draw_ids(1).astype(np.uint8))
    with pytest.raises(InputError, match=r"a\.jpg: is told from a\.png by its suffix alone"):
        read_instances(tmp_path / "photos", images=tmp_path / "photos", classes=["person"])
