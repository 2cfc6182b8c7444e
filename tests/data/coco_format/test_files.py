import zipfile

import pytest

from maskrcnn_jax.data.coco_format.files import read_files
from maskrcnn_jax.data.coco_format.layout import SplitFiles, find_split
from maskrcnn_jax.data.problems import DataError, Kind
from tests.data.coco_files import content, write_coco, write_json


def refused(records, index=0):
    with pytest.raises(DataError, match="image 7: ") as error:
        records[index]
    return error.value.problem


@pytest.mark.parametrize(
    "name", ["B.PNG", "b.jpg", "train/b.png", "C:\\images\\b.png", "/data/b.png"]
)
def test_a_missing_image_names_the_file_of_the_same_stem(tmp_path, name):
    root = write_coco(tmp_path, content())
    write_json(root, content(lambda c: c["images"][0].update(file_name=name)))
    problem = refused(read_files(find_split(root, "train")).records)
    assert problem.kind is Kind.MISSING_IMAGE
    assert problem.text.startswith(f"no file {name!r} in {root}/images. Did you mean 'b.png'?")


@pytest.mark.parametrize("name", ["", ".", "other.png", "/dev/zero", "\n"])
def test_a_name_that_is_no_image_file_is_missing(tmp_path, name):
    root = write_coco(tmp_path, content())
    write_json(root, content(lambda c: c["images"][0].update(file_name=name)))
    problem = refused(read_files(find_split(root, "train")).records)
    assert problem.kind is Kind.MISSING_IMAGE
    assert "Did you mean" not in problem.text


def test_a_name_that_is_too_long_cannot_be_read(tmp_path):
    root = write_coco(tmp_path, content())
    write_json(root, content(lambda c: c["images"][0].update(file_name="ä" * 300)))
    problem = refused(read_files(find_split(root, "train")).records)
    assert problem.kind is Kind.UNREADABLE_IMAGE


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_inside_an_archive_is_an_unreadable_image(tmp_path, compression):
    """A check sum that does not fit, or a stream that cannot be decompressed."""
    root = write_coco(tmp_path, content())
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        archive.write(root / "images/b.png", "images/b.png")
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    first_byte = 30 + len("images/b.png")
    damaged[first_byte] = 0xFF
    (tmp_path / "a.zip").write_bytes(damaged)
    files = SplitFiles(
        name="zipped",
        split="train",
        annotation_file=find_split(root, "train").annotation_file,
        image_folders=(zipfile.Path(tmp_path / "a.zip", "images/"),),
    )
    assert refused(read_files(files).records).kind is Kind.UNREADABLE_IMAGE
