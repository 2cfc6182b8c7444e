"""Mask R-CNN in JAX/Flax as pure functions.

``maskrcnn_jax.load(path)(image)`` finds objects. It is imported when it is first asked for: data
workers import this package, too, and need no detector.

| module | what |
|---|---|
| `maskrcnn_jax.structures` | what flows through a detector, its units and frames |
| `maskrcnn_jax.maskrcnn`, `maskrcnn_jax.solov2` | the detectors: `loss` and `predict` |
| `maskrcnn_jax.backbones`, `maskrcnn_jax.necks` | ResNet and ResNeXt; the feature pyramid |
| `maskrcnn_jax.rpn` | anchors, objectness, proposals |
| `maskrcnn_jax.roi` | the second stage: pooling, boxes, cascades |
| `maskrcnn_jax.roi.mask` | mask heads |
| `maskrcnn_jax.solo` | the parts of SOLOv2 |
| `maskrcnn_jax.ops` | functions of arrays without parameters: boxes, NMS, RoIAlign, pasting |
| `maskrcnn_jax.losses` | formulas that give a sum and a count |
| `maskrcnn_jax.layers`, `maskrcnn_jax.norms` | layers that keep the precision of their input |
| `maskrcnn_jax.data` | data sets in COCO format, shapes, the input pipeline |
| `maskrcnn_jax.training` | state, step, optimizer, checkpoints, several devices and processes |
| `maskrcnn_jax.evaluation` | COCO results, AP of boxes, masks and boundaries |
| `maskrcnn_jax.inference` | trained detectors at work: batches, test-time augmentation, results |
| `maskrcnn_jax.exporting` | a whole detector as one file, for JAX alone or as ONNX |
| `maskrcnn_jax.video` | frames of videos and cameras, tracking, counts |
| `maskrcnn_jax.finetuning` | a config that suits own data and given weights |
| `maskrcnn_jax.convert` | weights of Detectron2, torchvision and MMDetection, in and out |
| `maskrcnn_jax.experiment`, `maskrcnn_jax.serialization` | the config of a run, and its JSON |
| `maskrcnn_jax.visualization` | pictures of detections |
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskrcnn_jax.inference.detector import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from maskrcnn_jax.inference.detector import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
