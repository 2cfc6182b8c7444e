import cv2
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.inference.files import find_images, predict_files
from maskrcnn_jax.inference.predictor import Predictor
from tests import tiny
from tests.data.samples import make_config


class Mean(Predictor):
    """Finds nothing but the mean of each image."""

    def predict(self, batches, *, original_size):
        for (batch,) in batches:
            for index, image, valid in zip(batch.indices, batch.images, batch.valid, strict=True):
                if valid:
                    yield int(index), (float(image.mean()), original_size(int(index)))


@pytest.fixture
def folder(tmp_path):
    for index, name in enumerate(["a.png", "sub/b.PNG", "c.png", "d.png"]):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((32 + index, 64, 3), 50 * index, np.uint8))
    (tmp_path / "in/notes.txt").write_text("not an image")
    return tmp_path / "in"


def test_images_are_found_in_order_by_the_names_of_their_pictures(folder, tmp_path):
    out = tmp_path / "out"
    found = find_images([folder, folder / "a.png"], out=out)
    assert {str(name): path.name for name, path in found.items()} == {
        "a.png": "a.png", "c.png": "c.png", "d.png": "d.png", "sub/b.PNG": "b.PNG",
    }  # fmt: skip
    with pytest.raises(InputError, match="there is no such image or folder"):
        find_images([tmp_path / "nowhere"], out=out)
    with pytest.raises(InputError, match="give images"):
        find_images([], out=out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no images \(\.bmp, .*\) in this folder"):
        find_images([tmp_path / "empty"], out=out)
    (folder / "a.jpg").write_text("")
    with pytest.raises(InputError, match=r"would both become a\.png; rename one"):
        find_images([folder], out=out)


def test_results_are_neither_images_nor_in_their_place(folder, tmp_path):
    before = find_images([folder], out=folder / "out")
    (folder / "out").mkdir()
    (folder / "out/a.png").write_text("a picture from before")
    assert find_images([folder], out=folder / "out") == before
    assert find_images([folder / "sub"], out=folder)  # an image beside its folder is no harm
    with pytest.raises(InputError, match="is the folder of the images"):
        find_images([folder], out=folder)
    with pytest.raises(InputError, match=r"a\.png would be replaced by its picture"):
        find_images([folder / "a.png"], out=folder)


def test_what_cannot_be_used_is_told_and_passed_over(folder):
    (folder / "bad.png").write_bytes(b"not a picture")
    cv2.imwrite(str(folder / "tall.png"), np.zeros((500, 10, 3), np.uint8))
    paths = [*find_images([folder], out=folder / "out").values(), folder / "gone.png"]
    config = make_config(eval_short_side=32, long_side=64, padded_sizes=((32, 64),))
    errors = {}
    found = {
        file.path.name: (mean, size)
        for file, (mean, size) in predict_files(
            Mean(tiny.tiny_config(), {}, config), paths, batch_size=3, on_error=errors.__setitem__
        )
    }
    assert list(found) == ["a.png", "c.png", "d.png", "b.PNG"]
    assert found["c.png"][1] == (34, 64)
    means = [found[name][0] for name in ("a.png", "b.PNG", "c.png", "d.png")]
    assert means == sorted(means)
    told = {path.name: str(error) for path, error in errors.items()}
    assert set(told) == {"bad.png", "tall.png", "gone.png"}
    assert "not a readable image" in told["bad.png"]
    assert "which none of the padded sizes" in told["tall.png"]
    assert "gone.png" in told["gone.png"]
