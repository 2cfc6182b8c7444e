"""COCO's figures of a results file: by this project, and by pycocotools as its demo has it."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.speed import coco_files
from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.ground_truth import read_truth
from maskrcnn_jax.evaluation.results_file import read_results

_SIZE = (480, 640)
_OBJECTS = 7
_SHAPES: Any = (("bbox", "bbox"), ("segm", "segmentation"))


def evaluation(*, num_images: int, per_image: int, by: str) -> Callable[[], Any]:
    """From two JSON files to the figures of boxes and masks."""
    folder = Path(tempfile.mkdtemp())
    truth, results = folder / "truth.json", folder / "results.json"
    shared: Any = {"num_images": num_images, "size": _SIZE, "objects_per_image": _OBJECTS}
    coco_files.write_annotations(truth, **shared)
    coco_files.write_results(results, per_image=per_image, **shared)
    score = {"maskrcnn_jax": ours, "pycocotools": plain}[by]
    return lambda: score(truth, results)


def ours(truth: Path, results: Path) -> list[float]:
    """Box and mask figures, twelve each."""
    read = read_truth(truth)
    scores = evaluate(read, read_results(results, read), iou_types=("bbox", "segm"))
    return [value for kind in ("bbox", "segm") for value in scores[kind].summary.values()]


def plain(truth: Path, results: Path) -> list[float]:
    """The same by pycocotools alone.

    As by Detectron2 and MMDetection: masks are scored without boxes, so that their areas decide
    about sizes. pycocotools changes what it is given, hence the copies.
    """
    figures = []
    with contextlib.redirect_stdout(io.StringIO()):
        references: Any = COCO(str(truth))
        records = json.loads(results.read_text())
        for kind, shape in _SHAPES:
            keys = ("image_id", "category_id", "score", shape)
            found = references.loadRes([{key: item[key] for key in keys} for item in records])
            evaluator: Any = COCOeval(references, found, kind)
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
            figures += evaluator.stats.tolist()
    return figures
