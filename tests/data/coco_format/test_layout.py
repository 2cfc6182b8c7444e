import shutil

import pytest

from maskrcnn_jax.data.coco_format.layout import find_split, fingerprint
from maskrcnn_jax.errors import InputError
from tests.data.coco_files import content, write_coco, write_json


@pytest.mark.parametrize("images", ["train", "images/train", "images"])
def test_images_are_found_in_each_usual_place(tmp_path, images):
    files = find_split(write_coco(tmp_path, content(), images=images), "train")
    assert files.annotation_file == tmp_path / "annotations/instances_train.json"
    assert tmp_path / images in files.image_folders
    assert (files.name, files.split) == (tmp_path.name, "train")


def test_a_split_that_does_not_exist_names_the_nearest(tmp_path):
    for split in ("train2017", "val2017"):
        write_json(tmp_path, content(), split=split)
    with pytest.raises(InputError, match=r"no split 'val2071'\. Did you mean 'val2017'\?"):
        find_split(tmp_path, "val2071")


def test_lvis_is_found_as_it_is_published(tmp_path):
    """Beside COCO; its file names begin with the folders of COCO's images."""
    root = write_coco(tmp_path, content(), split="val2017")
    (root / "annotations" / "lvis_v1_val.json").write_text("{}")
    files = find_split(root, "lvis_v1_val")
    assert files.annotation_file == root / "annotations" / "lvis_v1_val.json"
    assert files.image_folders == (root,)
    with pytest.raises(InputError, match=r"lvis_v1_vla\.json: no .* Did you mean 'lvis_v1_val'\?"):
        find_split(root, "lvis_v1_vla")


def test_a_folder_without_annotations_shows_the_layout(tmp_path):
    with pytest.raises(
        InputError, match=r"instances_train\.json: no such file\. A data set in COCO"
    ):
        find_split(tmp_path, "train")


def test_missing_image_folders_are_listed(tmp_path):
    write_json(tmp_path, content())
    with pytest.raises(InputError) as error:
        find_split(tmp_path, "train")
    for folder in ("train", "images/train", "images"):
        assert str(tmp_path / folder) in str(error.value)


def test_the_fingerprint_changes_with_content_and_place_only(tmp_path):
    root = write_coco(tmp_path / "a", content())
    before = fingerprint(find_split(root, "train"))
    path = root / "annotations/instances_train.json"
    path.write_text(path.read_text())  # a new time, the same content
    assert fingerprint(find_split(root, "train")) == before
    elsewhere = shutil.copytree(root, tmp_path / "b")
    assert fingerprint(find_split(elsewhere, "train")) != before
    path.write_text(path.read_text() + " ")
    assert fingerprint(find_split(root, "train")) != before
