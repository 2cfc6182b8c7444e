"""Writes tests/evaluation/data/tide.json: what tidecv 1.0.1 counts and gains for our own data.

python -m venv PEER && PEER/bin/pip install 'tidecv==1.0.1' && PEER/bin/pip install -e .
PEER/bin/python tests/parity/make_tide_golden.py

The package names ``numpy.float``, which numpy does not have any more; it is given it here. Its mean
is over all classes; here over those with objects, as COCO has it. Crowds are left out.
"""

import json
import sys
from pathlib import Path

import numpy as np

vars(np)["float"] = float
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tidecv import TIDE, Data  # noqa: E402
from tidecv.ap import ClassedAPDataObject  # noqa: E402

from tests.evaluation.report.cases import case_for_tide  # noqa: E402

SEEDS = range(4)


def mean_of_classes_with_objects(self: ClassedAPDataObject) -> float:
    found = [item.get_ap() for item in self.objs.values() if item.num_gt_positives > 0]
    return sum(found) / len(found)


def main() -> None:
    ClassedAPDataObject.get_mAP = mean_of_classes_with_objects
    golden = [given_by_tide(seed) for seed in SEEDS]
    path = ROOT / "tests" / "evaluation" / "data" / "tide.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(path.read_text())


def given_by_tide(seed: int) -> dict:
    """AP50, how many errors there are of each kind, and what AP50 would gain without them."""
    truth, results = case_for_tide(seed)
    data, found = Data("truth"), Data("results")
    for item in truth.categories:
        data.add_class(item.id, item.name)
        found.add_class(item.id, item.name)
    for image_id in truth.image_sizes:
        data.add_image(image_id, str(image_id))
        found.add_image(image_id, str(image_id))
    for item in truth.objects:
        data.add_ground_truth(item.image_id, item.category_id, list(item.box))
    for item in results:
        found.add_detection(item["image_id"], item["category_id"], item["score"], item["bbox"])
    run = TIDE().evaluate(data, found, mode=TIDE.BOX)
    return {
        "AP50": run.ap,
        "kinds": {
            kind.short_name: {"number": len(run.error_dict[kind]), "gain": gain}
            for kind, gain in run.fix_main_errors().items()
        },
    }


if __name__ == "__main__":
    main()
