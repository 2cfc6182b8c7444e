# pyright: reportMissingImports=false
"""The process in which torchvision is timed, with a Python that has torch and torchvision.

The same works as ``ours``, on the same inputs, with the same weights: those that ``seeded`` gives
to the names of torchvision's arrays.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection._utils import Matcher, overwrite_eps
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.ops.misc import FrozenBatchNorm2d

from benchmarks.speed import inputs
from benchmarks.speed.inputs import Size
from benchmarks.speed.serving import serve
from tests.parity.seeded import seeded_tensors

_SHAPES = Path(__file__).parents[2] / "tests/parity/data/torchvision_inference.shapes.json"
_NUM_CLASSES = 90
_DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def roi_align(
    *, num_rois: int, output_size: int, size: Size, gradient: bool, memory_format: str
) -> Callable[[], Any]:
    """As ``MultiScaleRoIAlign`` pools a pyramid; with the gradient of the maps, or not."""
    layout = getattr(torch, memory_format)
    features = {
        str(level): _tensor(x).permute(2, 0, 1)[None].contiguous(memory_format=layout)
        for level, x in inputs.pyramid(size).items()
    }
    pool = torchvision.ops.MultiScaleRoIAlign([*features], output_size, sampling_ratio=2)
    boxes = [_tensor(inputs.regions(num_rois, size))]
    upstream = _tensor(inputs.upstream(num_rois, output_size)).permute(0, 3, 1, 2)

    def forward() -> Any:
        with torch.no_grad():
            pool(features, boxes, [size])
        _finish()

    def both() -> Any:
        leaves = {name: x.detach().requires_grad_() for name, x in features.items()}
        pooled = pool(leaves, boxes, [size])
        pooled.backward(upstream)
        _finish()

    return both if gradient else forward


def nms(*, count: int, size: Size, iou_threshold: float, memory_format: str) -> Callable[[], Any]:
    """One class, all that is kept."""
    del memory_format
    boxes, scores = _tensor(inputs.crowd(count, size)), _tensor(inputs.scores(count))

    def run() -> None:
        torchvision.ops.nms(boxes, scores, iou_threshold)
        _finish()

    return run


def nms_per_class(
    *, num_rois: int, num_classes: int, size: Size, memory_format: str
) -> Callable[[], Any]:
    """The steps of ``RoIHeads.postprocess_detections`` after decoding."""
    del memory_format
    probabilities, boxes = map(_tensor, inputs.classified(num_rois, size, num_classes=num_classes))

    def run() -> None:
        scores = probabilities[:, :num_classes].reshape(-1)
        labels = torch.arange(num_classes, device=_DEVICE).expand(num_rois, -1).reshape(-1)
        kept = torch.where(scores > 0.05)[0]
        found, scores, labels = boxes.reshape(-1, 4)[kept], scores[kept], labels[kept]
        torchvision.ops.batched_nms(found, scores, labels, 0.5)[:100]
        _finish()

    return run


def match(*, num_objects: int, size: Size, memory_format: str) -> Callable[[], Any]:
    """All anchors of an image to its objects."""
    del memory_format
    shapes = [(size[0] // 2**level, size[1] // 2**level) for level in range(2, 7)]
    generator = AnchorGenerator(
        tuple((8 * 2**level,) for level in range(2, 7)), ((0.5, 1.0, 2.0),) * 5
    )
    images = ImageList(torch.zeros(1, 3, *size, device=_DEVICE), [size])
    anchors = generator(images, [torch.zeros(1, 1, *s, device=_DEVICE) for s in shapes])[0]
    objects = _tensor(inputs.regions(num_objects, size))
    matcher = Matcher(0.7, 0.3, allow_low_quality_matches=True)

    def run() -> None:
        matcher(torchvision.ops.box_iou(objects, anchors))
        _finish()

    return run


def top_k(*, count: int, num_best: int, memory_format: str) -> Callable[[], Any]:
    """The best anchors of a level."""
    del memory_format
    scores = _tensor(inputs.scores(count))

    def run() -> None:
        scores.topk(num_best)
        _finish()

    return run


def predict(
    *, size: Size, batch_size: int, precision: str, memory_format: str
) -> Callable[[], Any]:
    """From images on the host to masks in the image."""
    model = _model(size, memory_format=memory_format).eval()
    images = _images(size, batch_size)

    def run() -> None:
        with torch.no_grad(), _precision(precision):
            model([_to_floats(image) for image in images])
        _finish()

    return run


def gradients(
    *,
    size: Size,
    batch_size: int,
    num_rois: int,
    num_objects: int,
    precision: str,
    memory_format: str,
) -> Callable[[], Any]:
    """Losses and the gradients of all trained parameters."""
    model = _model(size, memory_format=memory_format, num_rois=num_rois).train()
    images = _images(size, batch_size)
    targets = [
        {
            "boxes": _tensor(found["boxes"]),
            "labels": _tensor(found["labels"]).long() + 1,
            "masks": _tensor(found["masks"].astype(np.uint8)),
        }
        for found in (
            inputs.objects(num_objects, size, num_classes=_NUM_CLASSES, seed=index)
            for index in range(batch_size)
        )
    ]

    def run() -> None:
        model.zero_grad(set_to_none=True)
        with _precision(precision):
            losses = model([_to_floats(image) for image in images], targets)
        torch.stack(list(losses.values())).sum().backward()
        _finish()

    return run


def _model(size: Size, *, memory_format: str, num_rois: int = 512) -> MaskRCNN:
    """``maskrcnn_resnet50_fpn`` as torchvision builds it around trained weights."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50",
        weights=None,
        norm_layer=FrozenBatchNorm2d,
        trainable_layers=3,
    )
    model = MaskRCNN(
        backbone,
        num_classes=_NUM_CLASSES + 1,
        min_size=min(size),
        max_size=max(size),
        box_batch_size_per_image=num_rois,
    )
    overwrite_eps(model, 0.0)
    shapes = {name: tuple(shape) for name, shape in json.loads(_SHAPES.read_text()).items()}
    tensors = seeded_tensors(shapes)
    model.load_state_dict({name: torch.from_numpy(x) for name, x in tensors.items()})
    return model.to(_DEVICE, memory_format=getattr(torch, memory_format))


def _images(size: Size, count: int) -> list[np.ndarray]:
    return [inputs.picture(size, seed=index) for index in range(count)]


def _to_floats(image: np.ndarray) -> torch.Tensor:
    """From the host's uint8, as in ``to_tensor``."""
    return _tensor(image).permute(2, 0, 1).float() / 255


def _precision(precision: str) -> Any:
    return torch.autocast(_DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16")


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).to(_DEVICE)


def _finish() -> None:
    if _DEVICE.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    serve(
        {
            "roi_align": roi_align,
            "nms": nms,
            "nms_per_class": nms_per_class,
            "match": match,
            "top_k": top_k,
            "predict": predict,
            "gradients": gradients,
        }
    )
