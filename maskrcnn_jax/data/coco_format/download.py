"""The official archives of COCO 2017. Images are read from inside them: nothing is unpacked."""

import urllib.request
import zipfile
from pathlib import Path

import tensorflow_datasets as tfds

from maskrcnn_jax.data.coco_format.layout import SplitFiles
from maskrcnn_jax.errors import InputError

SPLITS = ("train2017", "val2017")
_SERVER = "http://images.cocodataset.org"
_ANNOTATIONS = "annotations_trainval2017.zip"
_TIMEOUT = 30  # seconds


def download_split(split: str, dl_manager: tfds.download.DownloadManager) -> SplitFiles:
    """Downloads a split (train2017: 18 GB, val2017: 0.8 GB) where that has not been done yet.

    Raises:
      InputError: there is no network, or the archives are not there any more, or damaged.
    """
    annotations = _open_archive(f"annotations/{_ANNOTATIONS}", dl_manager)
    images = _open_archive(f"zips/{split}.zip", dl_manager)
    return SplitFiles(
        name="coco2017",
        split=split,
        annotation_file=annotations / "annotations" / f"instances_{split}.json",
        image_folders=(images / split,),
    )


def _open_archive(name: str, dl_manager: tfds.download.DownloadManager) -> zipfile.Path:
    url = f"{_SERVER}/{name}"
    try:
        _check_reachable(url, dl_manager)
        path = dl_manager.download(url)
    except (OSError, tfds.download.DownloadError) as error:
        raise InputError(
            f"{url}: cannot be downloaded: {error}. Where there is no network, unpack "
            f"{_ANNOTATIONS}, train2017.zip and val2017.zip into one folder, and give it as root."
        ) from error
    try:
        return zipfile.Path(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: is damaged: {error}. Delete it to download it again.") from error


def _check_reachable(url: str, dl_manager: tfds.download.DownloadManager) -> None:
    """Fails at once where there is no network; TFDS retries for minutes before it does."""
    # TFDS leaves a note beside each finished download.
    notes = Path(dl_manager.download_dir).rglob("*.INFO")
    if not any(url in note.read_text() for note in notes):
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=_TIMEOUT).close()
