"""Files of an imported data set. A split is there once its annotation file is, which comes last.

What is there already and has the same content is left alone, so an import that was interrupted goes
on when it is run again. What has other content is never replaced.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.importers.annotated import AnnotatedImage
from maskrcnn_jax.data.importers.image_files import Picture
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_bytes


def write_splits(
    root: Path,
    images: Mapping[str, Sequence[AnnotatedImage]],
    contents: Mapping[str, dict[str, Any]],
) -> None:
    """Writes ``root/<split>/`` and ``root/annotations/instances_<split>.json`` of each split.

    Where something goes wrong, what was written until then is removed.

    Raises:
      InputError: there is a file with other content already.
    """
    annotations = {
        annotation_file(root, split): json.dumps(content, allow_nan=False).encode()
        for split, content in contents.items()
    }
    pictures = {
        root / split / image.file_name: image.picture
        for split, found in images.items()
        for image in found
    }
    for path, encoded in annotations.items():
        if path.exists() and path.read_bytes() != encoded:
            raise _other_content(path)
    missing = [path for path, picture in pictures.items() if not _is_there(path, picture)]
    written: list[Path] = []
    try:
        for path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            _write(path, pictures[path])
        for path, encoded in annotations.items():
            if not path.exists():
                written.append(path)
                write_bytes(path, encoded)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def annotation_file(root: Path, split: str) -> Path:
    """The annotation file of a split."""
    return root / "annotations" / f"instances_{split}.json"


def _is_there(path: Path, picture: Picture) -> bool:
    if not path.exists():
        return False
    is_source = isinstance(picture.source, Path) and path.samefile(picture.source)
    if is_source and not picture.is_turned:
        return True
    if path.read_bytes() != picture.content():
        raise _other_content(path)
    return True


def _write(path: Path, picture: Picture) -> None:
    """A hard link to the image where that can be, which takes no space; else a copy."""
    if isinstance(picture.source, Path) and not picture.is_turned:
        with contextlib.suppress(OSError):  # another file system, or one without links
            os.link(picture.source.resolve(), path)
            return
    write_bytes(path, picture.content())


def _other_content(path: Path) -> InputError:
    return InputError(
        f"{path}: is there already, with other content. Delete it, or give another --out."
    )
