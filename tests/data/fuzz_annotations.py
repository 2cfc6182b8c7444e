"""Reads mutated annotation files to the last value. A program, so that a crash is seen as one.

python -m tests.data.fuzz_annotations FOLDER FIRST_SEED LAST_SEED
"""

import faulthandler
import json
import sys
from pathlib import Path

import numpy as np

from maskrcnn_jax.data.annotations import AnnotationFile, parse_annotations, read_annotations
from maskrcnn_jax.data.check import check_split
from maskrcnn_jax.data.coco_format.files import FileRecords
from maskrcnn_jax.data.coco_format.layout import find_split
from maskrcnn_jax.data.masks import framed_mask
from maskrcnn_jax.data.problems import Effect, Problem, attempt
from maskrcnn_jax.data.scenes import read_scene
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.ground_truth import read_truth
from tests.data.coco_files import content, write_coco
from tests.data.json_mutations import mutated_file


def prepare(folder: Path) -> None:
    """Writes the image files that the mutated annotations are about."""
    write_coco(folder, content())


def try_seed(folder: Path, seed: int) -> bool:
    """Whether the file of a seed is accepted. What should not happen raises."""
    path = folder / "annotations" / "instances_train.json"
    path.write_bytes(mutated_file(seed))
    checked = check_split(folder, "train")
    refused: list[Problem] = []
    file = attempt(refused.append, read_annotations, path)
    if file is None:
        stops = [p for p in checked.problems if p.kind.effect is Effect.STOPS]
        assert refused == stops[:1]
        assert refused[0].where.startswith(str(path))
        assert len(refused[0].text) < 500
        return False
    _assert_nothing_is_lost(file, path)
    _use(file, folder, path)
    return True


def _assert_nothing_is_lost(file: AnnotationFile, path: Path) -> None:
    given = json.loads(path.read_bytes())
    again = parse_annotations(given, path, report=_must_not_stop)
    assert (again.annotations, again.dropped) == (file.annotations, file.dropped)
    assert len(file.images) == len(given["images"])
    assert file.images.ids.tolist() == [image["id"] for image in given["images"]]
    assert {category.id for category in file.categories} == {c["id"] for c in given["categories"]}
    found = [annotation for annotations in file.annotations for annotation in annotations]
    found += [item.annotation for item in file.dropped]
    assert sum(file.images.num_objects) == sum(
        not annotation.is_crowd for annotations in file.annotations for annotation in annotations
    )
    originals = {record["id"]: record for record in given["annotations"]}
    assert len(found) == len(originals) == len(given["annotations"])
    for annotation in found:
        record = originals[annotation.id]
        assert file.categories[annotation.label].id == record["category_id"]
        assert list(annotation.box) == record["bbox"]
        assert (annotation.area, annotation.is_crowd) == (record["area"], record.get("iscrowd", 0))
        assert all(part in record["segmentation"] for part in annotation.segmentation)


def _use(file: AnnotationFile, folder: Path, path: Path) -> None:
    """What training and evaluation do with each value, the C code of pycocotools among it."""
    for size, annotations in zip(
        zip(file.images.heights.tolist(), file.images.widths.tolist(), strict=True),
        file.annotations,
        strict=True,
    ):
        for annotation in annotations:
            bitmap, frame = framed_mask(annotation.segmentation, image_size=size, mask_size=28)
            assert bitmap.shape == (28, 28)
            assert np.isfinite(frame).all()
    for item in read_truth(path).objects:
        height, width = item.segmentation["size"]
        assert 0 <= rle.area(item.segmentation) <= height * width
        assert 0 <= rle.iou(item.segmentation, item.segmentation) <= 1
    records = FileRecords(find_split(folder, "train"), file)
    for index in range(len(records)):
        refused: list[Problem] = []
        record = attempt(refused.append, records.__getitem__, index)
        if record is None:
            assert refused[0].where.startswith(str(path))
            continue
        scene = read_scene(record, mask_size=28)
        assert len(scene.boxes) == file.images.num_objects[index]
        assert np.isfinite(scene.boxes).all()


def _must_not_stop(problem: Problem) -> None:
    assert problem.kind.effect is not Effect.STOPS


def main() -> None:
    """Says which seed is tried before it is."""
    faulthandler.enable()
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    prepare(folder)
    accepted = 0
    for seed in range(first, last):
        print(seed, flush=True)
        accepted += try_seed(folder, seed)
    print(f"accepted {accepted} of {last - first}")


if __name__ == "__main__":
    main()
