"""VGG Image Annotator 2 (https://www.robots.ox.ac.uk/~vgg/software/via): one JSON file for all.

It is what "Export Annotations (as json)" or "Save" (a project) writes; read from its ``via.js``.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskrcnn_jax.data import json_fields
from maskrcnn_jax.data.importers import outlines
from maskrcnn_jax.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Drawing,
    check_label,
    labels_of,
    numbered,
)
from maskrcnn_jax.data.importers.image_files import (
    find_picture,
    look_at,
    safe_name,
    shared_names,
)
from maskrcnn_jax.data.importers.values import check_num_points, coordinate
from maskrcnn_jax.data.json_fields import field, shown
from maskrcnn_jax.errors import InputError, did_you_mean

_WITHOUT_AREA = ("point", "polyline")
_POINTS = ("all_points_x", "all_points_y")
_PROJECT = "_via_img_metadata"


def read_via(
    source: Path, *, images: Path | None, attribute: str | None, unlabelled: str | None
) -> Annotated:
    """``attribute`` is the region attribute that holds the label; None: the only one there is."""
    content = json_fields.read_json_object(source)
    if "view" in content and "file" in content:
        raise InputError(f"{source}: is a project of VIA 3; annotate images with VIA 2.")
    entries = list(_entries(content.get(_PROJECT, content), source))
    attribute = _find_attribute(entries, attribute, source)
    folders = [source.parent] if images is None else [images]
    shared = shared_names(name for name, _ in entries)
    left_out: Counter[str] = Counter()
    found = []
    for name, regions in entries:
        where = f"{source}: image {name!r}"
        picture = look_at(find_picture(name, folders, where, shared=shared), where, noted=None)
        shapes = ((region, f"{where}: region {i}") for i, region in enumerate(regions))
        drawings = (_read_region(*shape, attribute, unlabelled, left_out) for shape in shapes)
        kept = tuple(drawing for drawing in drawings if drawing is not None)
        found.append(AnnotatedImage(name=safe_name(name), picture=picture, drawings=kept))
    return Annotated(categories=numbered(labels_of(found)), images=tuple(found), left_out=left_out)


def _read_region(
    region: dict,
    where: str,
    attribute: str | None,
    unlabelled: str | None,
    left_out: Counter[str],
) -> Drawing | None:
    """None for what has no area, which is counted."""
    shape = field(region, "shape_attributes", dict, where)
    kind = field(shape, "name", str, where)
    if kind in _WITHOUT_AREA:
        left_out[f"region without area ({kind})"] += 1
        return None
    label = check_label(_label(region, attribute, where), where, unlabelled=unlabelled)
    return Drawing(where=where, label=label, segmentation=[_outline(kind, shape, where)])


def _entries(listed: Any, source: Path) -> Iterator[tuple[str, list[dict]]]:
    """The file name of each image and its regions, which VIA 1 numbers instead of listing them."""
    if not isinstance(listed, dict) or not listed:
        raise InputError(f"{source}: lists no images; export annotations from VIA as JSON.")
    for key, entry in listed.items():
        where = f"{source}: {key!r}"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: is {shown(entry)}, not an image of VIA.")
        regions = entry.get("regions", [])
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        if not isinstance(regions, list) or not all(isinstance(item, dict) for item in regions):
            raise InputError(
                f"{where}: 'regions' is {shown(regions)}; it must be a list of objects."
            )
        yield field(entry, "filename", str, where), regions


def _find_attribute(
    entries: list[tuple[str, list[dict]]], attribute: str | None, source: Path
) -> str | None:
    names = {name for _, regions in entries for region in regions for name in _attributes(region)}
    if attribute is not None and attribute not in names:
        raise InputError(
            f"{source}: no region has the attribute {attribute!r}.{did_you_mean(attribute, names)}"
        )
    if attribute is None and len(names) > 1:
        raise InputError(
            f"{source}: regions have the attributes {', '.join(sorted(names))}; say with "
            "--attribute NAME which one is the label."
        )
    return attribute or next(iter(names), None)


def _attributes(region: dict) -> dict:
    given = region.get("region_attributes")
    return given if isinstance(given, dict) else {}


def _label(region: dict, attribute: str | None, where: str) -> str:
    """A text, or of a checkbox what is ticked."""
    value = _attributes(region).get(attribute, "")
    if isinstance(value, dict):
        ticked = [name for name, is_ticked in value.items() if is_ticked]
        if len(ticked) > 1:
            raise InputError(f"{where}: has the labels {', '.join(ticked)}; leave one of them.")
        return ticked[0] if ticked else ""
    if not isinstance(value, str):
        raise InputError(f"{where}: {attribute!r} is {shown(value)}; it must be a text.")
    return value


def _outline(kind: str, shape: dict, where: str) -> list[float]:
    def get(key: str) -> float:
        return coordinate(shape.get(key), key, where)

    if kind == "polygon":
        x, y = (field(shape, key, list, where) for key in _POINTS)
        if len(x) != len(y):
            raise InputError(f"{where}: has {len(x)} x and {len(y)} y of points; draw it again.")
        x, y = ([coordinate(value, key, where) for value in shape[key]] for key in _POINTS)
        return check_num_points(list(zip(x, y, strict=True)), where)
    if kind == "rect":
        left, top = get("x"), get("y")
        return outlines.rectangle(left, top, left + get("width"), top + get("height"))
    if kind == "circle":
        return outlines.ellipse(get("cx"), get("cy"), get("r"), get("r"))
    if kind == "ellipse":
        degrees = math.degrees(get("theta")) if "theta" in shape else 0.0  # older files have none
        return outlines.ellipse(get("cx"), get("cy"), get("rx"), get("ry"), degrees=degrees)
    raise InputError(
        f"{where}: there is no way to read the shape {kind!r}; delete it, or draw a polygon."
    )
