import functools
import http.server
import shutil
import threading
import time
import zipfile

import pytest

from maskrcnn_jax.data.coco_format import Coco2017Config, CocoFormatConfig, download
from maskrcnn_jax.errors import InputError
from tests.data.coco_files import content, write_coco


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def official(tmp_path, monkeypatch):
    """Serves a folder with the archives of a small COCO 2017; returns the folder."""
    root = write_coco(tmp_path / "root", content(), split="val2017", images="val2017")
    served = tmp_path / "served"
    for name, source in (
        ("annotations/annotations_trainval2017.zip", "annotations"),
        ("zips/val2017.zip", "val2017"),
    ):
        (served / name).parent.mkdir(parents=True)
        with zipfile.ZipFile(served / name, "w") as archive:
            for path in (root / source).iterdir():
                archive.write(path, f"{source}/{path.name}")
    handler = functools.partial(Quiet, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serve = functools.partial(server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setattr(download, "_SERVER", f"http://127.0.0.1:{server.server_port}")
        yield served
        server.shutdown()


def test_the_archives_are_downloaded_and_read_where_they_are(official, tmp_path):
    downloaded = Coco2017Config(cache_dir=tmp_path / "cache").build("val2017")
    folder = CocoFormatConfig(root=tmp_path / "root", cache_dir=tmp_path / "cache").build("val2017")
    assert [downloaded.records[i] for i in range(3)] == [folder.records[i] for i in range(3)]
    assert not list((tmp_path / "cache/downloads").rglob("*.png"))


def test_what_has_been_downloaded_needs_no_network(official, tmp_path):
    config = Coco2017Config(cache_dir=tmp_path / "cache")
    config.build("val2017")
    shutil.rmtree(tmp_path / "cache/coco_format")
    shutil.rmtree(official)
    assert len(config.build("val2017").records) == 3


def test_an_archive_that_is_not_there_is_an_input_error(official, tmp_path):
    (official / "zips/val2017.zip").unlink()
    with pytest.raises(InputError, match=r"zips/val2017\.zip: cannot be downloaded: .*404"):
        Coco2017Config(cache_dir=tmp_path / "cache").build("val2017")


def test_a_damaged_archive_is_an_input_error(official, tmp_path):
    (official / "zips/val2017.zip").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"is damaged: .* Delete it to download it again"):
        Coco2017Config(cache_dir=tmp_path / "cache").build("val2017")


def test_no_network_fails_at_once_and_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_SERVER", "http://127.0.0.1:9")  # nobody listens there
    start = time.monotonic()
    with pytest.raises(InputError, match=r"cannot be downloaded: .*refused.* give it as root"):
        Coco2017Config(cache_dir=tmp_path / "cache").build("val2017")
    assert time.monotonic() - start < 20  # TFDS retries for more than three minutes
