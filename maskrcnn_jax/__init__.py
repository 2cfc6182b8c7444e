"""Mask R-CNN in JAX/Flax as pure functions.

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
| `maskrcnn_jax.convert` | weights of Detectron2, torchvision and MMDetection, in and out |
| `maskrcnn_jax.experiment`, `maskrcnn_jax.serialization` | the config of a run, and its JSON |
| `maskrcnn_jax.visualization` | pictures of detections |
"""

__version__ = "0.1.0"
