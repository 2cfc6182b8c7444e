import numpy as np
import pytest

from maskrcnn_jax.data.importers.cityscapes import read_cityscapes
from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from tests.data.importers.exports import HEIGHT, WIDTH, photograph, write_cityscapes


def draw_ids(seed=0):
    """Road, two cars, a person, a group of people, a caravan."""
    ids = np.full((HEIGHT, WIDTH), 7)
    ids[5:15, 5:20] = 26000
    ids[10:30, 18:40] = 26001
    ids[0:9, 50:55] = 24000
    ids[20:40, 45:60] = 24
    ids[30:34, 0:9] = 29000
    return ids


def test_objects_groups_and_what_is_neither(tmp_path):
    ids = draw_ids()
    write_cityscapes(tmp_path, ids)
    found = read_cityscapes(tmp_path, split="val")
    content = to_coco(found.images, found.categories, found.left_out)
    assert content["images"][0]["file_name"] == "ulm/ulm_000000_000019_leftImg8bit.png"
    objects = [(item["category_id"], item["iscrowd"]) for item in content["annotations"]]
    assert objects == [(24, 1), (24, 0), (26, 0), (26, 0)]
    for item, id in zip(content["annotations"], (24, 24000, 26000, 26001), strict=True):
        np.testing.assert_array_equal(rle.decode(item["segmentation"]), ids == id)
        assert item["area"] == np.count_nonzero(ids == id)
    assert content["annotations"][2]["bbox"] == [5, 5, 15, 10]
    assert found.left_out.total() == 1
    names = ["person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"]
    assert [item.name for item in found.categories] == names


def test_cities_in_order_and_images_without_objects(tmp_path):
    write_cityscapes(tmp_path, draw_ids(), city="weimar")
    write_cityscapes(tmp_path, np.full((HEIGHT, WIDTH), 7), city="aachen")
    found = read_cityscapes(tmp_path, split="val")
    assert [image.name.split("/")[0] for image in found.images] == ["aachen", "weimar"]
    assert found.images[0].drawings == ()
    assert list(found.left_out.values()) == [1]


def test_what_is_not_there_or_does_not_fit(tmp_path):
    path = write_cityscapes(tmp_path, draw_ids())
    with pytest.raises(InputError, match=r"gtFine.vall: there is no CITY.* Did you mean 'val'"):
        read_cityscapes(tmp_path, split="vall")
    with pytest.raises(InputError, match=r"there is no CITY/\*_gtFine_instanceIds.png"):
        read_cityscapes(tmp_path / "gtFine", split="val")
    write_cityscapes(tmp_path, draw_ids()[1:])
    with pytest.raises(InputError, match=r"instanceIds\.png: was made on an image of 60 x 39"):
        read_cityscapes(tmp_path, split="val")
    for damaged in (b"", b"text", photograph()):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"instanceIds\.png: is no PNG of one channel"):
            read_cityscapes(tmp_path, split="val")
    write_cityscapes(tmp_path, draw_ids())
    next((tmp_path / "leftImg8bit").rglob("*.png")).unlink()
    with pytest.raises(InputError, match=r"its image .*leftImg8bit\.png is not there"):
        read_cityscapes(tmp_path, split="val")
