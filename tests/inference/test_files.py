from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.inference.files import find_images, predict_files
from maskrcnn_jax.inference.places import passed_over, search
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


def found_in(*places, out):
    return find_images([search(place, out=out) for place in places])


def as_text(found, folder):
    return {str(name): str(path.relative_to(folder)) for name, path in found.items()}


def test_images_are_found_in_order_by_the_names_of_their_pictures(folder, tmp_path):
    out = tmp_path / "out"
    found = found_in(folder, folder / "a.png", out=out)
    names = {"a.png": "a.png", "c.png": "c.png", "d.png": "d.png", "sub/b.png": "sub/b.PNG"}
    assert list(as_text(found, folder).items()) == list(names.items())
    with pytest.raises(InputError, match="there is no such image or folder"):
        search(tmp_path / "nowhere", out=out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no images \(\.bmp, .*\) in this folder"):
        search(tmp_path / "empty", out=out)


def test_images_that_would_share_a_name_keep_more_of_their_own(folder, tmp_path, monkeypatch):
    (folder / "a.jpg").touch()
    (folder / "sub/a.png").touch()
    assert as_text(found_in(folder, out=tmp_path), folder) == {
        **{"a.png": "a.png", "a.jpg.png": "a.jpg", "c.png": "c.png", "d.png": "d.png"},
        **{"sub/a.png": "sub/a.png", "sub/b.png": "sub/b.PNG"},
    }
    monkeypatch.chdir(folder / "sub")  # no name leads out of --out
    found = found_in(Path("..") / "a.png", Path(), out=tmp_path)
    assert {str(name): str(path) for name, path in found.items()} == {
        **{"a.png": "../a.png", "sub/a.png": "a.png", "b.png": "b.PNG"}
    }
    (folder / "a.jpg.png").touch()
    with pytest.raises(InputError, match=r"would both become a\.jpg\.png; rename one"):
        found_in(folder, out=tmp_path)


def test_results_are_no_images(folder, tmp_path):
    before = found_in(folder, out=folder / "out")
    (folder / "out").mkdir()
    (folder / "out/a.png").write_text("a picture from before")
    (tmp_path / "link").symlink_to(folder)
    assert found_in(folder, out=tmp_path / "link/out") == before
    assert found_in(folder / "sub", out=folder)  # an image beside its folder is no harm
    for same in (folder, tmp_path / "link", folder / "sub/.."):
        with pytest.raises(InputError, match="is the folder of the images"):
            search(same, out=folder)


def test_links_are_followed_and_what_is_passed_over_is_told(folder, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/e.png").touch()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "sub/circle").symlink_to(folder)
    (folder / "clip.mp4").touch()
    (folder / "secret").mkdir()
    iterdir = Path.iterdir

    def refuse(path):
        if path.name == "secret":
            raise PermissionError
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    place = search(folder, out=tmp_path / "out")
    names = ["a.png", "c.png", "d.png", "link/e.png", "sub/b.PNG"]
    assert [str(path.relative_to(folder)) for path in place.images] == names
    assert list(passed_over([place])) == [
        f"{folder / 'secret'}: this folder cannot be read and is passed over",
        f"{folder}: 1 videos among the images are passed over ({folder / 'clip.mp4'}, ...); give "
        "them to another command",
    ]
    with pytest.raises(InputError, match="secret: this folder cannot be read"):
        search(folder / "secret", out=tmp_path)


def test_what_cannot_be_used_is_told_and_passed_over(folder):
    (folder / "bad.png").write_bytes(b"not a picture")
    cv2.imwrite(str(folder / "tall.png"), np.zeros((500, 10, 3), np.uint8))
    paths = [*found_in(folder, out=folder / "out").values(), folder / "gone.png"]
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
