"""Writes ``outputs.npz``: what the peers' tests hold random numbers for.

Needs torch and torchvision, which the tests themselves do not:

    python -m tests.peers.make_outputs

Three tests of Detectron2 compare losses of freshly initialised heads with fixed numbers. The heads
below draw their weights in Detectron2's order from the same seeds, so that those numbers hold for
what they put out. The masks pasted by torchvision are kept as sums over rows and over columns; its
RoIPool and the gradient of it are whole numbers.
"""

from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import roi_align, roi_pool

from tests.peers.cases import (
    HEADS_BOXES,
    HEADS_LABELS,
    HEADS_SIZES,
    PASTED,
    pasted_case,
    roi_pool_case,
)

OUT = Path(__file__).with_name("outputs.npz")
CHANNELS, STRIDE, NUM_CLASSES = 1024, 16, 80
ANCHOR_SIDES, RATIOS = (32, 64, 128, 256, 512), (0.5, 1.0, 2.0)
NUM_ANCHORS = len(ANCHOR_SIDES) * len(RATIOS)


def filled(layer: nn.Module, fill, **options) -> nn.Module:
    """The layer with weights drawn by ``fill`` (after those of its constructor), no biases."""
    fill(layer.weight, **options)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def fast_rcnn() -> dict[str, torch.Tensor]:
    torch.manual_seed(132)
    classes, deltas = nn.Linear(8, 6), nn.Linear(8, 20)
    filled(classes, nn.init.normal_, std=0.01)
    filled(deltas, nn.init.normal_, std=0.001)
    pooled = torch.rand(2, 8)
    return {"fast_rcnn_logits": classes(pooled), "fast_rcnn_deltas": deltas(pooled)}


def draw_resnet50() -> None:
    """Uses up the random numbers of a ResNet-50 that is thrown away."""
    msra = {"mode": "fan_out", "nonlinearity": "relu"}
    filled(nn.Conv2d(3, 64, 7, bias=False), nn.init.kaiming_normal_, **msra)
    inputs = 64
    for depth, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        outputs = 4 * width
        for _ in range(depth):
            shortcut = [nn.Conv2d(inputs, outputs, 1, bias=False)] if inputs != outputs else []
            sides = ((inputs, width, 1), (width, width, 3), (width, outputs, 1))
            for layer in [nn.Conv2d(*side, bias=False) for side in sides] + shortcut:
                filled(layer, nn.init.kaiming_normal_, **msra)
            inputs = outputs


class RPNHead:
    def __init__(self):
        self.layers = [
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.Conv2d(CHANNELS, NUM_ANCHORS, 1),
            nn.Conv2d(CHANNELS, 4 * NUM_ANCHORS, 1),
        ]
        for layer in self.layers:
            filled(layer, nn.init.normal_, std=0.01)

    def __call__(self, features):
        conv, objectness, deltas = self.layers
        hidden = conv(features).relu()
        logits = objectness(hidden).permute(0, 2, 3, 1).flatten(1)  # [b, rows * columns * a]
        deltas = deltas(hidden).unflatten(1, (NUM_ANCHORS, 4)).permute(0, 3, 4, 1, 2)
        return logits, deltas.flatten(1, 3)


def rpn() -> dict[str, torch.Tensor]:
    torch.manual_seed(121)
    draw_resnet50()
    head = RPNHead()
    torch.rand(2, 20, 30)  # the images
    logits, deltas = head(torch.rand(2, CHANNELS, 1, 2))
    return {"rpn_logits": logits, "rpn_deltas": deltas}


def candidate_boxes(deltas: torch.Tensor) -> list[torch.Tensor]:
    """All boxes that the RPN of a 1 x 2 map might propose, then the true ones; by image."""
    sides = [(a / r**0.5, a * r**0.5) for a in ANCHOR_SIDES for r in RATIOS]
    size = torch.tensor(sides).repeat(2, 1)
    centre = torch.tensor([[0.0, 0], [STRIDE, 0]]).repeat_interleave(NUM_ANCHORS, 0)
    candidates = []
    for (height, width), truth, delta in zip(HEADS_SIZES, HEADS_BOXES, deltas, strict=True):
        middle, half = centre + delta[:, :2] * size, delta[:, 2:].exp() * size / 2
        limits = torch.tensor([width, height, width, height])
        boxes = torch.cat([middle - half, middle + half], 1).clamp(min=0).minimum(limits)
        candidates.append(torch.cat([boxes, torch.tensor(truth)]))
    return candidates


def roi_heads() -> dict[str, torch.Tensor]:
    torch.manual_seed(121)
    torch.rand(2, 20, 30)  # the images
    features = torch.rand(2, CHANNELS, 1, 2)
    masks = torch.stack([torch.rand(2, 15, 15) > 0.5 for _ in range(2)])
    logits, deltas = RPNHead()(features)
    hidden = [nn.Linear(CHANNELS * 14 * 14, 1024), nn.Linear(1024, 1024)]
    for layer in hidden:
        filled(layer, nn.init.kaiming_uniform_, a=1)
    classes, refinement = nn.Linear(1024, NUM_CLASSES + 1), nn.Linear(1024, 4 * NUM_CLASSES)
    filled(classes, nn.init.normal_, std=0.01)
    filled(refinement, nn.init.normal_, std=0.001)
    upsample, predictor = nn.ConvTranspose2d(CHANNELS, 256, 2, 2), nn.Conv2d(256, NUM_CLASSES, 1)
    filled(upsample, nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
    filled(predictor, nn.init.normal_, std=0.001)

    def pool(boxes):
        return roi_align(features, boxes, 14, 1 / STRIDE, sampling_ratio=0, aligned=True)

    candidates = candidate_boxes(deltas)
    x = pool(candidates).flatten(1)
    for layer in hidden:
        x = layer(x).relu()
    mask_logits = predictor(upsample(pool([torch.tensor(boxes) for boxes in HEADS_BOXES])).relu())
    labels = torch.tensor(HEADS_LABELS).flatten()
    return {
        "heads_masks": masks,
        "heads_rpn_logits": logits,
        "heads_rpn_deltas": deltas,
        "heads_boxes": torch.stack(candidates),
        "heads_logits": classes(x).unflatten(0, (2, -1)),
        "heads_deltas": refinement(x).unflatten(0, (2, -1))[..., : 4 * (labels.max() + 1)],
        "heads_mask_logits": mask_logits[torch.arange(4), labels].unflatten(0, (2, 2)),
    }


def pasted() -> dict[str, torch.Tensor]:
    sums = {}
    for name in PASTED:
        masks, boxes, size = pasted_case(name)
        images = paste_masks_in_image(torch.tensor(masks[:, None]), torch.tensor(boxes), size)[:, 0]
        sums[f"pasted_{name}_rows"] = images.sum(2)
        sums[f"pasted_{name}_columns"] = images.sum(1)
    return sums


def pooled() -> dict[str, torch.Tensor]:
    images, rois, weights = map(torch.tensor, roi_pool_case())
    with torch.enable_grad():
        found = roi_pool(images.requires_grad_(), rois, 7)
        (found * weights).sum().backward()
    return {
        "roi_pool": found.detach().to(torch.int8),
        "roi_pool_gradient": images.grad.to(torch.int16),
    }


if __name__ == "__main__":
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    with torch.no_grad():
        outputs = fast_rcnn() | rpn() | roi_heads() | pasted() | pooled()
    np.savez_compressed(OUT, **{name: value.numpy() for name, value in outputs.items()})
    print(f"{OUT}: {OUT.stat().st_size} bytes")
