"""Eight images of COCO learnt by heart: evidence that every part of training pulls its weight.

Takes about half an hour on 2 CPU cores; run with ``make test-slow``.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUM_IMAGES = 8
OPTIONS = (
    "--input.batch-size 2 --input.eval-batch-size 2 --input.short-sides 256 "
    "--input.eval-short-side 256 --input.long-side 448 --input.padded-sizes 256 448 448 256 "
    "--input.num-workers 0 --input.flip-probability 0 --model.roi.sampling.num-samples 128 "
    "--optimizer.learning-rate 0.015 --optimizer.reference-batch-size 2 "
    "--optimizer.max-gradient-norm 10 "
    "--optimizer.schedule.epochs 160 --optimizer.schedule.decay-at 140 "
    "--optimizer.schedule.warmup-steps 50"
).split()


def _subset(source: Path, target: Path) -> None:
    """The first images with 2 to 10 objects, as training and as validation split."""
    content = json.loads((source / "annotations/instances_train2017.json").read_text())
    objects: dict[int, list[dict]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    chosen = [image for image in content["images"] if 2 <= len(objects[image["id"]]) <= 10]
    chosen = chosen[:NUM_IMAGES]
    small = {
        "images": chosen,
        "annotations": [item for image in chosen for item in objects[image["id"]]],
        "categories": content["categories"],
    }
    (target / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (target / "annotations" / f"instances_{split}.json").write_text(json.dumps(small))
        (target / split).mkdir()
        for image in chosen:
            shutil.copy(source / "train2017" / image["file_name"], target / split)


def test_eight_images_are_learnt_by_heart(shared, tmp_path):
    data, workdir = tmp_path / "coco8", tmp_path / "run"
    _subset(shared / "data/coco2017_mini", data)

    # Without the suite's own flags, with which programs compile faster and run slower.
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}

    def run(*command: object) -> None:
        subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=environment, check=True)

    run(
        *("train.py", "mask_rcnn_r50_fpn_1x", "--workdir", workdir, "--data.root", data),
        *("--init.backbone", shared / "weights/resnet50_imagenet_folded.npz"),
        *("--model.backbone.stride-in-1x1", "True", *OPTIONS),
    )
    run("eval.py", "--workdir", workdir)
    metrics = json.loads((workdir / "eval/val2017/metrics.json").read_text())
    assert metrics["segm"]["AP50"] >= 0.9
