"""The records of an annotation file in COCO layout, one at a time: a category, an image, an object.

A report that returns makes reading go on with the next value of a record. A record with a problem
that stops training comes back as None, when all of its values have been looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from maskrcnn_jax.data.images import MAX_PIXELS, has_too_many_pixels
from maskrcnn_jax.data.json_fields import Ids, field, known_id, number, numbers, shown
from maskrcnn_jax.data.problems import DataError, Kind, Problem, Report, attempt
from maskrcnn_jax.data.records import Annotation, Category, Segmentation
from maskrcnn_jax.data.segmentation import check_segmentation, has_area
from maskrcnn_jax.data.sizes import Size

# In pixels: float32 may not tell the sides of a thinner box apart, least of all in a resized image.
_THINNEST = 0.01


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    id: int
    file_name: str
    size: Size


class Listed:
    """What annotations may refer to, by id. None stands for what is there, but faulty itself."""

    def __init__(
        self,
        *,
        images: Mapping[int, AnnotatedImage | None],
        categories: Mapping[int, Category | None],
    ) -> None:
        self.images = images
        self.image_ids = Ids(images)
        self.category_ids = Ids(categories)
        sound = sorted(id for id, category in categories.items() if category is not None)
        self.labels = {id: label for label, id in enumerate(sound)}


def read_category(id: int, record: dict, where: str, report: Report) -> Category | None:
    """A class of objects. Its id may be any integer."""
    name = attempt(report, field, record, "name", str, where)
    return None if name is None else Category(id=id, name=name)


def read_image(id: int, record: dict, where: str, report: Report) -> AnnotatedImage | None:
    """An image as the annotation file describes it; the image file is not touched."""
    file_name = attempt(report, _file_name, record, where)
    size = attempt(report, _image_size, record, where)
    if file_name is None or size is None:
        return None
    return AnnotatedImage(id=id, file_name=file_name, size=size)


def read_annotation(
    id: int, record: dict, where: str, *, listed: Listed, report: Report
) -> tuple[AnnotatedImage, Annotation] | None:
    """An object or a crowd, and its image."""
    image_id = attempt(report, known_id, record, "image_id", listed.image_ids, where)
    category_id = attempt(report, known_id, record, "category_id", listed.category_ids, where)
    box = attempt(report, numbers, record, "bbox", where, count=4)
    area = attempt(report, number, record, "area", where)
    is_crowd = attempt(report, _is_crowd, record, where)
    image = None if image_id is None else listed.images[image_id]
    label = None if category_id is None else listed.labels.get(category_id)
    if image is None:  # the mask cannot be checked
        return None
    segmentation = attempt(report, _segmentation, record, where, image.size, report)
    if label is None or box is None or area is None or is_crowd is None or segmentation is None:
        return None
    x, y, width, height = box
    return image, Annotation(
        id=id,
        label=label,
        box=(x, y, width, height),
        area=area,
        is_crowd=is_crowd,
        segmentation=segmentation,
    )


def covers_nothing(annotation: Annotation, size: Size, where: str) -> Problem | None:
    """Why an annotation covers nothing of its image of (height, width); None where it does."""
    x, y, width, height = annotation.box
    inside = (min(x + width, size[1]) - max(x, 0), min(y + height, size[0]) - max(y, 0))
    box = f"'bbox' is {shown(list(annotation.box))}"
    if min(width, height) < _THINNEST:
        text = f"{box}; write [x, y, width, height] in pixels."
        return Problem(kind=Kind.BOX_WITHOUT_AREA, text=text, where=where)
    if min(inside) < _THINNEST:
        text = f"{box}, outside its image of {size[1]} x {size[0]} (width x height) pixels."
        return Problem(kind=Kind.BOX_OUTSIDE, text=text, where=where)
    if not has_area(annotation.segmentation, height=size[0], width=size[1]):
        text = f"segmentation {shown(annotation.segmentation)} covers nothing of its image."
        return Problem(kind=Kind.MASK_WITHOUT_AREA, text=text, where=where)
    return None


def _file_name(record: dict, where: str) -> str:
    """LVIS has the image's address on COCO's server instead, which ends with folder and name."""
    if "file_name" in record or "coco_url" not in record:
        return field(record, "file_name", str, where)
    return "/".join(field(record, "coco_url", str, where).split("/")[-2:])


def _image_size(record: dict, where: str) -> Size:
    size = field(record, "height", int, where), field(record, "width", int, where)
    text = f"{size[0]} x {size[1]} pixels (height x width); "
    if min(size) < 1:
        raise DataError(Kind.BAD_NUMBER, f"{text}write its real size.", where=where)
    if has_too_many_pixels(size):
        text += f"at most {MAX_PIXELS} can be read: cut it into smaller images."
        raise DataError(Kind.HUGE_IMAGE, text, where=where)
    return size


def _is_crowd(record: dict, where: str) -> bool:
    value = record.get("iscrowd", 0)
    if value not in (0, 1):
        text = f"'iscrowd' is {shown(value)}; it must be 0 or 1."
        raise DataError(Kind.BAD_NUMBER, text, where=where)
    return bool(value)


def _segmentation(record: dict, where: str, size: Size, report: Report) -> Segmentation:
    given = record.get("segmentation")
    try:
        usable = check_segmentation(given, height=size[0], width=size[1])
    except DataError as error:
        raise DataError(error.problem.kind, f"{error}.", where=where) from None
    if len(usable) < len(given or ()):
        text = f"segmentation {shown(given)} has a polygon of fewer than three points."
        report(Problem(kind=Kind.STRAY_POINTS, text=text, where=where))
    return usable
