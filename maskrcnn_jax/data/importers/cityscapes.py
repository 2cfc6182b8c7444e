"""Cityscapes (https://www.cityscapes-dataset.com): an image of numbers beside each photograph.

In ``gtFine/<split>/<city>/*_gtFine_instanceIds.png`` a pixel of object n (from 0) of a class is
1000 class + n, and one of a group of objects that nobody can tell apart is the number of its class
(cityscapesScripts, ``preparation/json2instanceImg.py``). The photographs lie in
``leftImg8bit/<split>/<city>``.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import tqdm

from maskrcnn_jax.data.importers.annotated import Annotated, AnnotatedImage
from maskrcnn_jax.data.importers.id_images import draw_object, read_ids
from maskrcnn_jax.data.importers.image_files import look_at
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError, did_you_mean

# The classes with objects that Cityscapes evaluates (cityscapesScripts, helpers/labels.py).
CATEGORIES = tuple(
    Category(id=id, name=name)
    for id, name in (
        *((24, "person"), (25, "rider"), (26, "car"), (27, "truck")),
        *((28, "bus"), (31, "train"), (32, "motorcycle"), (33, "bicycle")),
    )
)
_NAMES = {category.id: category.name for category in CATEGORIES}
_PER_CLASS = 1000
_LABELS, _IMAGES = "_gtFine_instanceIds.png", "_leftImg8bit.png"


def read_cityscapes(source: Path, *, split: str) -> Annotated:
    """Groups become crowds. All else, such as roads, caravans and trailers, is not imported."""
    folder = source / "gtFine" / split
    paths = sorted(folder.glob(f"*/*{_LABELS}"))
    if not paths:
        splits = [path.name for path in (source / "gtFine").glob("*") if path.is_dir()]
        hint = did_you_mean(split, splits) if splits else ""
        raise InputError(f"{folder}: there is no CITY/*{_LABELS}.{hint}")
    left_out: Counter[str] = Counter()
    images = tuple(
        _read_image(path, source, left_out=left_out)
        for path in tqdm.tqdm(paths, desc="Reading", unit=" images", disable=None)
    )
    return Annotated(categories=CATEGORIES, images=images, left_out=left_out)


def _read_image(path: Path, source: Path, *, left_out: Counter[str]) -> AnnotatedImage:
    ids = read_ids(path, mend="download it again")
    split, city = path.parts[-3:-1]
    name = path.name.removesuffix(_LABELS) + _IMAGES
    photograph = source / "leftImg8bit" / split / city / name
    if not photograph.is_file():
        raise InputError(f"{path}: its image {photograph} is not there; add it.")
    height, width = ids.shape
    drawings = []
    for id in np.unique(ids).tolist():
        label = _NAMES.get(id // _PER_CLASS if id >= _PER_CLASS else id)
        if label is None:
            if id >= _PER_CLASS:
                left_out["object of a class that Cityscapes does not evaluate"] += 1
            continue
        drawings.append(draw_object(ids, id, path, label=label, is_crowd=id < _PER_CLASS))
    return AnnotatedImage(
        name=f"{city}/{Path(name).stem}",
        picture=look_at(photograph, str(path), noted=(height, width)),
        drawings=tuple(drawings),
    )
