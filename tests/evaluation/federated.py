"""A small data set by LVIS's rules, drawn at random, and results for it."""

import numpy as np
import pycocotools.mask

HEIGHT, WIDTH = 160, 240
NUM_IMAGES = 12
CATEGORY_IDS = (1, 2, 3, 5, 8, 13, 21, 34, 55)  # the last two are nowhere


def content(rng: np.random.Generator) -> dict:
    """Every case there is: categories verified absent, annotated in part, or both; no objects in
    an image; an object without area."""
    categories = [
        {"id": id, "name": f"c{id}", "frequency": "rcf"[i % 3], "image_count": 5}
        for i, id in enumerate(CATEGORY_IDS)
    ]
    images, annotations = [], []
    for image_id in range(1, NUM_IMAGES + 1):
        present, absent, partly = (
            sorted(rng.choice(CATEGORY_IDS[:7], rng.integers(0, 4), replace=False).tolist())
            for _ in range(3)
        )
        images.append(
            {
                "id": image_id,
                "height": HEIGHT,
                "width": WIDTH,
                "coco_url": f"http://images.cocodataset.org/val2017/{image_id:012}.jpg",
                "neg_category_ids": [id for id in absent if id not in present],
                "not_exhaustive_category_ids": partly,
            }
        )
        for category_id in present:
            for _ in range(rng.integers(1, 5)):
                box = draw_box(rng)
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": category_id,
                        "bbox": box,
                        "area": box[2] * box[3],
                        "segmentation": [corners(box)],
                    }
                )
    annotations[3]["area"] = 0
    return {"images": images, "categories": categories, "annotations": annotations}


def results(rng: np.random.Generator, content: dict) -> list[dict]:
    """Near most objects, and at random; equal scores, empty masks; more than 300 in an image."""
    found = []
    for item in content["annotations"]:
        for _ in range(rng.integers(0, 4)):
            box = (np.array(item["bbox"]) + rng.normal(size=4) * 4).round(2)
            moved = [*box[:2].clip(0).tolist(), *box[2:].clip(2).tolist()]
            found.append(result(rng, item["image_id"], item["category_id"], moved))
    for image_id in range(1, NUM_IMAGES + 1):
        for _ in range(330 if image_id == 4 else 12):
            found.append(result(rng, image_id, int(rng.choice(CATEGORY_IDS)), draw_box(rng)))
    for item in found[::9]:
        item["segmentation"] = encoded([0, 0, 0, 0])
    return [found[i] for i in rng.permutation(len(found))]


def result(rng, image_id, category_id, box):
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box,
        "score": round(float(rng.uniform()), 2),
        "segmentation": encoded(box),
    }


def draw_box(rng):
    """XYWH; small, medium and large."""
    side = 2 ** rng.uniform(2, 7.2, 2)
    x, y = rng.uniform(0, (WIDTH, HEIGHT) - np.minimum(side, 150))
    return [round(float(value), 2) for value in (x, y, *side)]


def corners(box):
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def encoded(box):
    rle = pycocotools.mask.merge(pycocotools.mask.frPyObjects([corners(box)], HEIGHT, WIDTH))
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}
