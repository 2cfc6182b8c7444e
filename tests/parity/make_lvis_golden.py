"""Writes tests/evaluation/data/lvis.json: what the package lvis 0.5.3 gives for our own data.

python -m venv PEER && PEER/bin/pip install 'lvis==0.5.3' 'numpy<3' pycocotools
PEER/bin/python tests/parity/make_lvis_golden.py

The package names ``numpy.float``, which numpy does not have any more; it is given it here.
"""

import json
import sys
from pathlib import Path

import numpy as np

vars(np)["float"] = float
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from evaluation.federated import content, results  # noqa: E402
from lvis import LVIS, LVISEval, LVISResults  # noqa: E402


def main() -> None:
    rng = np.random.default_rng(5)
    given = content(rng)
    found = results(rng, given)
    path = ROOT / "tests" / "evaluation" / "data" / "lvis.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(given))  # the package reads files alone
    scores = {kind: score(path, found, kind) for kind in ("bbox", "segm")}
    golden = {"content": given, "results": found, "scores": scores}
    path.write_text(json.dumps(golden, separators=(",", ":")))
    print(json.dumps(scores, indent=1), f"{path.stat().st_size} bytes")


def score(path: Path, found: list[dict], kind: str) -> dict:
    """The 13 numbers, and AP of each category; -1 where there is nothing to find.

    With masks alone their areas count as sizes, as in Detectron2; with boxes those of the boxes.
    """
    unused = {"bbox": "segmentation", "segm": "bbox"}[kind]
    alone = [{key: item[key] for key in item if key != unused} for item in found]
    truth = LVIS(str(path))
    evaluation = LVISEval(truth, LVISResults(truth, alone), kind)
    evaluation.run()
    precision = evaluation.eval["precision"][:, :, :, 0]
    return {
        "summary": {key: float(value) for key, value in evaluation.results.items()},
        "per_category": precision.mean(axis=(0, 1)).tolist(),
    }


if __name__ == "__main__":
    main()
