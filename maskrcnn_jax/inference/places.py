"""What there is to look at in files and folders, and that no result takes the place of it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.video.frames import SUFFIXES as VIDEO_SUFFIXES

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Place(NamedTuple):
    """A file or folder as it was given, and what is there; ``unreadable`` are folders.

    Names of what is there begin below ``folder``.
    """

    path: Path
    folder: Path
    images: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()
    unreadable: tuple[Path, ...] = ()


def search(path: Path, *, out: Path) -> Place:
    """Looks at a file's suffix, or into a folder and all below it.

    Links are followed, but not in circles. What lies in the folder ``out`` are results.
    """
    if not path.is_dir():
        is_video = path.suffix.lower() in VIDEO_SUFFIXES
        if not is_video and not path.exists():
            raise InputError(f"{path}: there is no such image or folder")
        alone = Place(path, path.parent)
        return alone._replace(videos=(path,)) if is_video else alone._replace(images=(path,))
    if path.resolve() == out.resolve():
        raise InputError(f"--out {out} is the folder of the images; give another one")
    unreadable: list[Path] = []
    files = list(_walk(path, above=(out.resolve(),), unreadable=unreadable))
    place = Place(
        *(path, path),
        images=tuple(file for file in files if file.suffix.lower() in IMAGE_SUFFIXES),
        videos=tuple(file for file in files if file.suffix.lower() in VIDEO_SUFFIXES),
        unreadable=tuple(unreadable),
    )
    if path in unreadable:
        raise InputError(f"{path}: this folder cannot be read")
    if not place.images and not place.videos:
        raise InputError(f"{path}: no images ({', '.join(IMAGE_SUFFIXES)}) in this folder")
    return place


def passed_over(places: Iterable[Place]) -> Iterator[str]:
    """A line for everything that is there and will not be looked at."""
    for place in places:
        for folder in place.unreadable:
            yield f"{folder}: this folder cannot be read and is passed over"
        if place.images and place.videos:
            yield (
                f"{place.path}: {len(place.videos)} videos among the images are passed over "
                f"({place.videos[0]}, ...); give them to another command"
            )


def check_targets(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuses results that would take the place of an input, however both paths are spelled."""
    real = {path.resolve(): path for path in inputs}
    for target in targets:
        if target.resolve() in real:
            path = real[target.resolve()]
            raise InputError(f"{path} is where {target} would be written; give another --out")


def _walk(folder: Path, *, above: Sequence[Path], unreadable: list[Path]) -> Iterator[Path]:
    """All files, in order; ``above`` are the folders that are not to be entered (again)."""
    real = folder.resolve()
    if real in above:
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        unreadable.append(folder)
        return
    for entry in entries:
        if os.path.isdir(entry):  # False where that cannot be found out
            yield from _walk(entry, above=(*above, real), unreadable=unreadable)
        else:
            yield entry
