"""The works that are timed, and what is wanted of them on two CPU cores."""

from collections.abc import Mapping
from typing import Any, NamedTuple

OURS = "maskrcnn_jax"
# In both of its memory layouts; the faster one counts.
TORCHVISION = ("torchvision", "torchvision channels_last")
PYCOCOTOOLS = ("pycocotools",)

_COCO = (800, 1333)
_SMALL = (256, 320)


class Work(NamedTuple):
    """``kind`` and ``options`` are what a contestant is asked to prepare.

    Wanted are a ``ratio``, how many times faster than the fastest of ``peers``, and ``seconds``.
    """

    group: str
    what: str
    kind: str
    options: Mapping[str, Any]
    peers: tuple[str, ...] = ()
    ratio: float | None = None
    seconds: float | None = None


def works() -> dict[str, Work]:
    """By name."""
    return {
        **_roi_align("roi_align", 1000, 7, bars=(4, 3)),
        **_roi_align("roi_align_masks", 100, 14, bars=(None, None)),
        "nms": Work(
            "operations",
            "NMS of 2000 boxes",
            "nms",
            {"count": 2000, "size": _COCO, "iou_threshold": 0.7},
            peers=TORCHVISION[:1],
            ratio=1,
        ),
        "nms_per_class": Work(
            "operations",
            "1000 RoIs of 80 classes to 100 detections",
            "nms_per_class",
            {"num_rois": 1000, "num_classes": 80, "size": _COCO},
            peers=TORCHVISION[:1],
            ratio=3,
        ),
        "match": Work(
            "operations",
            "268,000 anchors matched to 50 objects",
            "match",
            {"num_objects": 50, "size": (800, 1344)},
            peers=TORCHVISION[:1],
        ),
        "top_k": Work(
            "operations",
            "the best 2000 of 201,600 scores",
            "top_k",
            {"count": 201_600, "num_best": 2000},
            peers=TORCHVISION[:1],
        ),
        "paste": Work(
            "operations",
            "100 masks into 640x480, as RLE",
            "paste",
            {"num_masks": 100, "size": (480, 640)},
            seconds=0.010,
        ),
        "predict": _predict(_COCO, ratio=1.5),
        "predict_small": _predict(_SMALL, ratio=2),
        # With objects enough to fill all places of positive RoIs: the same work on both sides.
        "gradients": _gradients(_COCO, num_rois=512, num_objects=130, ratio=1.2),
        "gradients_small": _gradients(_SMALL, num_rois=128, num_objects=40, ratio=2),
        # Of few objects torchvision computes few masks, where static shapes leave places empty.
        "gradients_few_objects": _gradients(_COCO, num_rois=512, num_objects=20),
        "input": Work(
            "input",
            "16 JPEG images of 640x480 to a batch with masks, on one core",
            "input",
            {"size": (480, 640), "num_images": 128, "batch_size": 16, "cores": 1},
            seconds=16 / 60,
        ),
        "evaluation": Work(
            "evaluation",
            "5,000 images with 100 detections each, from files to figures",
            "evaluation",
            {"num_images": 5000, "per_image": 100},
            peers=PYCOCOTOOLS,
            ratio=5,
        ),
        "compile_cold": Work(
            "compilation",
            "the training step of mask_rcnn_r50_fpn_1x, traced and compiled",
            "compilation",
            {"preset": "mask_rcnn_r50_fpn_1x", "is_warm": False},
            seconds=60,
        ),
        "compile_warm": Work(
            "compilation",
            "the same, from the cache of programs",
            "compilation",
            {"preset": "mask_rcnn_r50_fpn_1x", "is_warm": True},
            seconds=5,
        ),
        "first_step": Work(
            "compilation",
            "train.py shapes, to the end of its first step, from the cache",
            "first_step",
            {"preset": "shapes"},
            seconds=20,
        ),
    }


def _roi_align(
    name: str, num_rois: int, output_size: int, *, bars: tuple[float | None, float | None]
) -> dict[str, Work]:
    shared = {"num_rois": num_rois, "output_size": output_size, "size": (800, 1344)}
    cells = f"{output_size}x{output_size}"
    return {
        name if not gradient else f"{name}_gradient": Work(
            "operations",
            f"RoIAlign of {num_rois} RoIs to {cells}x256{', and its gradient' * gradient}",
            "roi_align",
            {**shared, "gradient": gradient},
            peers=TORCHVISION,
            ratio=bar,
        )
        for gradient, bar in zip((False, True), bars, strict=True)
    }


def _predict(size: tuple[int, int], *, ratio: float) -> Work:
    return Work(
        "predict",
        f"prediction of an image of {size[0]}x{size[1]}",
        "predict",
        {"size": size, "batch_size": 1, "precision": "float32"},
        peers=TORCHVISION,
        ratio=ratio,
    )


def _gradients(
    size: tuple[int, int], *, num_rois: int, num_objects: int, ratio: float | None = None
) -> Work:
    return Work(
        "train",
        f"losses and gradients of an image of {size[0]}x{size[1]}, {num_rois} RoIs, "
        f"{num_objects} objects",
        "gradients",
        {
            "size": size,
            "batch_size": 1,
            "num_rois": num_rois,
            "num_objects": num_objects,
            "precision": "float32",
        },
        peers=TORCHVISION,
        ratio=ratio,
    )
