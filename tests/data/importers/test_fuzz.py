"""Spoilt exports: an ``InputError``, or data that the reader of data sets takes as sound."""

import contextlib
import copy
import json
import random

import numpy as np
import pytest

from maskrcnn_jax.data.annotations import parse_annotations
from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.data.importers.cvat import read_cvat
from maskrcnn_jax.data.importers.labelme import read_labelme
from maskrcnn_jax.data.importers.via import read_via
from maskrcnn_jax.data.problems import raise_if_it_stops
from maskrcnn_jax.errors import InputError
from tests.data.importers.exports import (
    labelme_mask,
    labelme_shape,
    via_region,
    write_cvat,
    write_labelme,
    write_via,
)
from tests.data.json_mutations import mutated_bytes, mutated_file

POINTS = [[5, 5], [25, 5.5], [5, 25]]
NUM_SEEDS = 150


def labelme(folder):
    shapes = [
        labelme_shape("polygon", POINTS, group_id=1),
        labelme_shape("rectangle", POINTS[:2]),
        labelme_shape("circle", POINTS[:2], label="dog"),
        labelme_mask(np.eye(9, dtype=bool), 7, 9, group_id=1),
    ]
    return write_labelme(folder, "a", shapes)


def via(folder):
    regions = [
        via_region("polygon", all_points_x=[5, 25, 5], all_points_y=[5, 5, 25]),
        via_region("ellipse", {"class": {"dog": True}}, cx=30, cy=20, rx=15, ry=5, theta=1),
        via_region("rect", x=10, y=12, width=10, height=18),
    ]
    return write_via(folder, {"a.png": regions})


def cvat(folder):
    shapes = """<polygon label="cat" points="5.00,5.00;25.00,5.00;5.00,25.50" group_id="1"/>
        <box label="dog" xtl="1" ytl="2" xbr="30" ybr="35" rotation="10"/>
        <ellipse label="cat" cx="30" cy="20" rx="15" ry="5"/>
        <mask label="cat" rle="3, 4, 5" left="3" top="4" width="4" height="3" group_id="1"/>"""
    return write_cvat(folder, {"a.png": shapes})


READERS = {
    labelme: lambda path: read_labelme(path.parent, images=None, unlabelled=None),
    via: lambda path: read_via(path, images=None, attribute=None, unlabelled=None),
    cvat: lambda path: read_cvat(path, images=None),
}


@pytest.mark.parametrize("write", READERS)
def test_what_is_not_refused_is_sound(tmp_path, write):
    path = write(tmp_path)
    valid = path.read_bytes()
    num_read = 0
    for seed in range(NUM_SEEDS):
        if path.suffix == ".xml":
            spoilt = mutated_bytes(valid, random.Random(seed))
        else:
            spoilt = mutated_file(seed, lambda: copy.deepcopy(json.loads(valid)))
        path.write_bytes(spoilt)
        content = {}
        with contextlib.suppress(InputError, OSError):  # as main does
            found = READERS[write](path)
            content = to_coco(found.images, found.categories, found.left_out)
        if content.get("annotations"):
            content = json.loads(json.dumps(content, allow_nan=False))
            parse_annotations(content, path, report=raise_if_it_stops)
            num_read += 1
    assert 10 < num_read < NUM_SEEDS - 10
