"""Where the files of a split lie.

``<root>/annotations/instances_<split>.json`` is the annotation file. The file names in it are
looked up in ``<root>/<split>/``, ``<root>/images/<split>/`` and ``<root>/images/``, in this order.
Semantic maps, which few models need, lie in ``<root>/stuffthingmaps/<split>/``.

LVIS is taken as it is published: ``<root>/annotations/lvis_v1_train.json`` is its split
``lvis_v1_train``, whose file names begin with the folders of COCO 2017 in ``<root>``.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from maskrcnn_jax.data.problems import DataError, Kind
from maskrcnn_jax.errors import InputError, did_you_mean

_PREFIX = "instances_"
_LVIS = "lvis_"


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """The files of one split, in folders or in zip archives."""

    name: str  # of the data set
    split: str
    annotation_file: Traversable
    image_folders: tuple[Traversable, ...]


def find_split(root: Path, split: str) -> SplitFiles:
    """Finds a split under ``root``. Raises ``InputError`` that lists where it was looked for."""
    annotation_file = find_annotation_file(root, split)
    return SplitFiles(
        name=annotation_file.parents[1].name,
        split=split,
        annotation_file=annotation_file,
        image_folders=find_image_folders(root, split),
    )


def find_annotation_file(root: Path, split: str) -> Path:
    """The annotation file of a split. Raises ``InputError`` that names the splits there are."""
    prefix = "" if split.startswith(_LVIS) else _PREFIX
    path = root.expanduser().resolve() / "annotations" / f"{prefix}{split}.json"
    if not path.is_file():
        raise InputError(_no_annotation_file(path, split))
    return path


def splits_of(root: Path) -> list[str]:
    """The splits that have an annotation file, in alphabetical order."""
    return _splits_in(root.expanduser().resolve() / "annotations")


def find_image_folders(root: Path, split: str) -> tuple[Path, ...]:
    """Those of the usual folders that exist. Raises ``DataError`` where none does."""
    root = root.expanduser().resolve()
    if split.startswith(_LVIS):
        return (root,)
    candidates = (root / split, root / "images" / split, root / "images")
    image_folders = tuple(folder for folder in candidates if folder.is_dir())
    if not image_folders:
        raise DataError(
            Kind.NO_IMAGE_FOLDER,
            f"no folder with the images of split {split!r}; put them in one of "
            + ", ".join(map(str, candidates)),
            where=str(root),
        )
    return image_folders


def semantic_folder(root: Path, split: str) -> Path:
    """Where the semantic maps of a split would be."""
    return root.expanduser().resolve() / "stuffthingmaps" / split


def fingerprint(files: SplitFiles) -> str:
    """Changes with the content of the annotation file and with where the images lie."""
    digest = hashlib.sha256(files.annotation_file.read_bytes())
    digest.update("\n".join(map(str, files.image_folders)).encode())
    return digest.hexdigest()[:16]


def _splits_in(folder: Path) -> list[str]:
    return sorted(
        found.stem.removeprefix(_PREFIX)
        for prefix in (_PREFIX, _LVIS)
        for found in folder.glob(f"{prefix}*.json")
    )


def _no_annotation_file(path: Path, split: str) -> str:
    if splits := _splits_in(path.parent):
        return f"{path}: no such file, so there is no split {split!r}.{did_you_mean(split, splits)}"
    return (
        f"{path}: no such file. A data set in COCO layout is a folder with "
        f"annotations/{_PREFIX}<split>.json and the images in <split>/ or images/."
    )
