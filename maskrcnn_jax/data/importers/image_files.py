"""The image files of a data set, as they were shown to who annotated them.

Annotation tools turn an image upright where its EXIF orientation asks for that, and write down
coordinates of the image they show. The data sets of this package know no orientation: such an image
is written upright, as PNG. Where a tool has noted the size of the image, that tells whether it did
turn it; a half turn, a mirrored image and a square tell nothing, and count as turned.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from maskrcnn_jax.data.image_header import ImageHeader, read_header
from maskrcnn_jax.data.images import read_image
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError

# Of a file whose name in the annotations has none; the first one is what loses nothing.
SUFFIXES = (".png", ".PNG", ".jpg", ".JPG", ".jpeg", ".JPEG")


@dataclass(frozen=True, kw_only=True)
class Picture:
    source: Path | bytes  # a file, or what one would hold
    suffix: str  # of the file to be written
    size: Size  # (height, width) as it is shown
    is_turned: bool  # whether it is shown otherwise than it is stored

    def content(self) -> bytes:
        """What the file to be written holds."""
        encoded = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
        if not self.is_turned:
            return encoded
        upright = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        if upright is None:
            raise InputError(f"{self.source}: not a readable image.")
        return cv2.imencode(".png", upright)[1].tobytes()


def look_at(source: Path | bytes, where: str, *, noted: Size | None) -> Picture:
    """Finds out how a picture was shown. ``noted`` is the size that the tool wrote down, if any.

    Raises:
      InputError: the image is damaged, or not of the noted size.
    """
    header = _read_header(source, where)
    if header is None:  # neither JPEG nor PNG
        if isinstance(source, bytes):
            raise InputError(f"{where}: the image that it holds is neither JPEG nor PNG.")
        height, width, _ = read_image(source).shape
        size, is_turned = (height, width), False
    else:
        is_turned = header.orientation != 1 and noted in (None, header.upright_size)
        size = header.upright_size if is_turned else header.size
    if noted is not None and noted != size:
        raise InputError(
            f"{where}: was made on an image of {_shown(noted)} pixels (width x height), but the "
            f"image has {_shown(size)}; restore the image on which it was made."
        )
    return Picture(
        source=source,
        suffix=".png" if is_turned else _suffix(source, header),
        size=size,
        is_turned=is_turned,
    )


def shared_names(names: Iterable[str]) -> frozenset[str]:
    """Bare names that several images have, which lie in different folders."""
    counts = Counter(_path(name).name for name in set(names))
    return frozenset(name for name, count in counts.items() if count > 1)


def find_picture(
    name: str, folders: Sequence[Path], where: str, *, shared: Container[str] = ()
) -> Path:
    """The image file ``name``, which may begin with folders, in the first of ``folders`` with it.

    Where an annotation was made elsewhere its folders are not there: the bare name does, too, if it
    is not ``shared`` by several images. What was a frame of a video may have a suffix that its name
    has not.
    """
    path = _path(name)
    bare = () if path.name in shared else (path.name,)
    for candidate in (path, *bare, *(f"{path}{suffix}" for suffix in SUFFIXES)):
        for folder in folders:
            if (found := folder / candidate).is_file():
                return found
    raise InputError(
        f"{where}: there is no image {name!r} in {', '.join(map(str, folders))}. Put it there, or "
        "give the folder of the images with --images."
    )


def safe_name(name: str) -> str:
    """A name as it may be written below any folder: without suffix, and without ways out."""
    path = _path(name)
    parts = [part for part in path.with_suffix("").parts if part not in ("/", "..")]
    return "/".join(parts)


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _read_header(source: Path | bytes, where: str) -> ImageHeader | None:
    try:
        return read_header(source if isinstance(source, bytes) else source.read_bytes())
    except ValueError:
        image = where if isinstance(source, bytes) else source
        raise InputError(
            f"{image}: not a readable image: it is damaged or incomplete. Replace it."
        ) from None


def _suffix(source: Path | bytes, header: ImageHeader | None) -> str:
    """The file's own; for what is no file, that of its format."""
    if isinstance(source, Path):
        return source.suffix
    return ".jpg" if header and header.format == "JPEG" else ".png"


def _shown(size: Size) -> str:
    return f"{size[1]} x {size[0]}"
