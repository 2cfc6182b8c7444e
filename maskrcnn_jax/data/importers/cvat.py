"""CVAT (https://www.cvat.ai): an export as "CVAT for images 1.1", an XML file and images.

Read from CVAT's ``dataset_manager/formats/cvat.py``. Its own export in COCO format needs no import.
"""

from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from maskrcnn_jax.data import rle
from maskrcnn_jax.data.importers import outlines
from maskrcnn_jax.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Drawing,
    labels_of,
    numbered,
)
from maskrcnn_jax.data.importers.image_files import (
    find_picture,
    look_at,
    safe_name,
    shared_names,
)
from maskrcnn_jax.data.importers.values import check_num_points, coordinate_of_text
from maskrcnn_jax.data.json_fields import shown
from maskrcnn_jax.data.records import Segmentation
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError

_WITHOUT_AREA = ("points", "polyline", "cuboid", "skeleton", "tag")


def read_cvat(source: Path, *, images: Path | None) -> Annotated:
    """Reads the XML file, or the folder of an unpacked export with that in it.

    Shapes of one ``group_id`` and label are one object, as in CVAT's own export in COCO format.
    """
    source = source / "annotations.xml" if source.is_dir() else source
    root = _parse(source)
    if root.tag != "annotations" or root.find("track") is not None:
        raise InputError(f"{source}: is no export as 'CVAT for images 1.1'; export as that.")
    folders = [source.parent / "images", source.parent] if images is None else [images]
    shared = shared_names(element.get("name", "") for element in root.iter("image"))
    left_out: Counter[str] = Counter()
    found = tuple(
        _read_image(element, source, folders, shared=shared, left_out=left_out)
        for element in root.iter("image")
    )
    if not found:
        raise InputError(f"{source}: lists no images.")
    labels = root.iterfind("meta//labels/label")
    named = [label.findtext("name", "") for label in labels if label.find("parent") is None]
    used = labels_of(found)
    return Annotated(
        categories=numbered([*filter(None, named), *used]), images=found, left_out=left_out
    )


def _parse(source: Path) -> Element:
    """The root. Documents that define entities, which can grow without bound, are refused."""

    def refuse(*_: object) -> None:
        raise InputError(f"{source}: has a document type, which CVAT does not write; remove it.")

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(source.read_bytes(), True)
    except InputError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # two for odd encodings
        raise InputError(f"{source}: is not valid XML: {error}.") from None
    return builder.close()


def _read_image(
    element: Element,
    source: Path,
    folders: list[Path],
    *,
    shared: frozenset[str],
    left_out: Counter[str],
) -> AnnotatedImage:
    name = _text(element, "name", str(source))
    where = f"{source}: image {name!r}"
    size = _whole(element, "height", where), _whole(element, "width", where)
    subset = element.get("subset")
    if subset:
        folders = [*(folder / subset for folder in folders), *folders]
    file = find_picture(name, folders, where, shared=shared)
    picture = look_at(file, where, noted=size)
    drawings = []
    for number, shape in enumerate(element):
        place = f"{where}: {shape.tag} {number}"
        if shape.tag in _WITHOUT_AREA:
            left_out[f"shape without area ({shape.tag})"] += 1
            continue
        drawings.append(
            Drawing(
                where=place,
                label=_text(shape, "label", place),
                segmentation=_segmentation(shape, place, size=size),
                group=shape.get("group_id"),
            )
        )
    listed = name if name.endswith(file.suffix) else name + file.suffix
    written = safe_name(f"{subset}/{listed}" if subset else listed)
    return AnnotatedImage(name=written, picture=picture, drawings=tuple(drawings))


def _segmentation(shape: Element, where: str, *, size: Size) -> Segmentation:
    def get(*keys: str) -> list[float]:
        return [coordinate_of_text(shape.get(key), key, where) for key in keys]

    degrees = coordinate_of_text(shape.get("rotation", "0"), "rotation", where)
    if shape.tag == "polygon":
        return [check_num_points(_points(_text(shape, "points", where), where), where)]
    if shape.tag == "box":
        return [outlines.rectangle(*get("xtl", "ytl", "xbr", "ybr"), degrees=degrees)]
    if shape.tag == "ellipse":
        return [outlines.ellipse(*get("cx", "cy", "rx", "ry"), degrees=degrees)]
    if shape.tag == "mask":
        return _mask(shape, where, size=size)
    raise InputError(
        f"{where}: there is no way to read a {shape.tag!r}; delete it, or draw a polygon."
    )


def _points(text: str, where: str) -> list[tuple[float, float]]:
    points = []
    for point in text.split(";"):
        x, comma, y = point.partition(",")
        if not comma:
            raise InputError(f"{where}: 'points' holds {shown(point)}, which is not a point x,y.")
        points.append(tuple(coordinate_of_text(value, "points", where) for value in (x, y)))
    return points


def _mask(shape: Element, where: str, *, size: Size) -> dict:
    """Runs of equal pixels along the rows of a rectangle, beginning with those outside."""
    left, top, width, height = (
        _whole(shape, key, where) for key in ("left", "top", "width", "height")
    )
    text = _text(shape, "rle", where)
    try:
        runs = [int(run) for run in text.split(",")]
    except ValueError:
        runs = [-1]
    is_part = 0 < width <= size[1] and 0 < height <= size[0]
    if not is_part or min(runs) < 0 or sum(runs) != width * height:
        raise InputError(
            f"{where}: 'rle' is {shown(text)}; it must count the {width} x {height} pixels (width "
            "x height) of a part of the image. Export it again."
        )
    values = np.arange(len(runs)) % 2 == 1
    part = np.repeat(values, runs).reshape(height, width)
    return rle.encode_part(part, left=left, top=top, size=size)


def _text(element: Element, key: str, where: str) -> str:
    value = element.get(key)
    if not value:
        raise InputError(f"{where}: a <{element.tag}> has no {key!r}; export it again.")
    return value


def _whole(element: Element, key: str, where: str) -> int:
    value = coordinate_of_text(element.get(key), key, where)
    if value != int(value):
        raise InputError(f"{where}: {key!r} is {value}; it must be a whole number.")
    return int(value)
