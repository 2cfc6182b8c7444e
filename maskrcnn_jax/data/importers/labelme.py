"""labelme (https://github.com/wkentaro/labelme): a JSON file for each image, beside it.

Read from ``_label_file.py`` and ``_utils/shape.py`` of labelme 5 to 7.
"""

import base64
from collections import Counter
from pathlib import Path, PureWindowsPath

import cv2
import numpy as np
import tqdm

from maskrcnn_jax.data import json_fields, rle
from maskrcnn_jax.data.image_header import read_header
from maskrcnn_jax.data.importers import outlines
from maskrcnn_jax.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Drawing,
    check_label,
    labels_of,
    numbered,
)
from maskrcnn_jax.data.importers.image_files import Picture, find_picture, look_at
from maskrcnn_jax.data.importers.values import check_num_points, point_list
from maskrcnn_jax.data.json_fields import field, shown
from maskrcnn_jax.data.records import Segmentation
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError

_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(source: Path, *, images: Path | None, unlabelled: str | None) -> Annotated:
    """Reads all JSON files below a folder. Shapes of one ``group_id`` and label are one object."""
    paths = sorted(source.rglob("*.json"))
    if not paths:
        raise InputError(f"{source}: is no folder with JSON files of labelme; give that.")
    left_out: Counter[str] = Counter()
    found = [
        _read_file(path, source=source, images=images, unlabelled=unlabelled, left_out=left_out)
        for path in tqdm.tqdm(paths, desc="Reading", unit=" files", disable=None)
    ]
    return Annotated(categories=numbered(labels_of(found)), images=tuple(found), left_out=left_out)


def _read_file(
    path: Path,
    *,
    source: Path,
    images: Path | None,
    unlabelled: str | None,
    left_out: Counter[str],
) -> AnnotatedImage:
    content = json_fields.read_json_object(path)
    if "shapes" not in content:
        raise InputError(f"{path}: has no 'shapes', so it is not labelme's; move it elsewhere.")
    shapes = field(content, "shapes", list, str(path))
    folders = [path.parent]
    if images is not None:  # in the sub-folders of the annotations, or in none
        folders = [images / path.parent.relative_to(source), images, path.parent]
    picture = _find_picture(content, path, folders)
    drawings = []
    for number, shape in enumerate(shapes):
        where = f"{path}: shape {number}"
        if not isinstance(shape, dict):
            raise InputError(f"{where}: is {shown(shape)}, not an object.")
        if shape.get("label"):
            where += f" ({shape['label']})"
        kind = shape.get("shape_type") or "polygon"  # as in files older than the key
        if kind in _WITHOUT_AREA:
            left_out[f"shape without area ({kind})"] += 1
            continue
        label = shape.get("label") and field(shape, "label", str, where)
        drawings.append(
            Drawing(
                where=where,
                label=check_label(label or "", where, unlabelled=unlabelled),
                segmentation=_segmentation(kind, shape, where, size=picture.size),
                group=_group(shape, where),
            )
        )
    name = path.relative_to(source).with_suffix("").as_posix()
    return AnnotatedImage(name=name, picture=picture, drawings=tuple(drawings))


def _find_picture(content: dict, path: Path, folders: list[Path]) -> Picture:
    """The image file; where there is none, the copy of it that the JSON file may hold."""
    noted = None
    if content.get("imageHeight") is not None:
        height = field(content, "imageHeight", int, str(path))
        noted = height, field(content, "imageWidth", int, str(path))
    name = PureWindowsPath(field(content, "imagePath", str, str(path))).as_posix()
    try:
        return look_at(find_picture(name, folders, str(path)), str(path), noted=noted)
    except InputError:
        if not content.get("imageData"):
            raise
    embedded = _decoded(field(content, "imageData", str, str(path)), f"{path}: 'imageData'")
    return look_at(embedded, str(path), noted=noted)


def _segmentation(kind: str, shape: dict, where: str, *, size: Size) -> Segmentation:
    points = point_list(shape, "points", where)
    if kind in ("polygon", "oriented_rectangle"):
        return [check_num_points(points, where)]
    if kind not in ("rectangle", "circle", "mask"):
        raise InputError(
            f"{where}: there is no way to read a shape_type {kind!r}; delete it or draw a polygon."
        )
    if len(points) != 2:
        raise InputError(f"{where}: a {kind} has 2 points, not {len(points)}; draw it again.")
    (x1, y1), (x2, y2) = points
    if kind == "rectangle":
        return [outlines.rectangle(x1, y1, x2, y2)]
    if kind == "circle":
        radius = float(np.hypot(x2 - x1, y2 - y1))
        return [outlines.ellipse(x1, y1, radius, radius)]
    return rle.encode_part(_mask(shape, where, size=size), left=round(x1), top=round(y1), size=size)


def _group(shape: dict, where: str) -> int | None:
    return None if shape.get("group_id") is None else field(shape, "group_id", int, where)


def _mask(shape: dict, where: str, *, size: Size) -> np.ndarray:
    encoded = _decoded(field(shape, "mask", str, where), f"{where}: 'mask'")
    try:
        header = read_header(encoded)
    except ValueError:
        header = None
    # labelme's own may be a pixel larger.
    if header is None or max(header.size[0] - size[0], header.size[1] - size[1]) > 1:
        raise InputError(f"{where}: its 'mask' is no PNG as large as the image or smaller.")
    mask = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise InputError(f"{where}: its 'mask' is a damaged PNG; draw it again.")
    return mask > 0


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError(f"{where} is not base64: {error}.") from None
