"""The detectors. Each has the verbs ``loss(batch, keys)`` and ``predict(batch)``.

``propose(batch)`` gives the proposals on the way to ``predict``, or None where there are none.

Their configs say what the scripts have to know: ``num_classes``, ``backbone``, ``has_masks``,
``max_detections``, ``paste``, ``frozen_modules()``.
"""

from typing import TypeAlias

from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.solov2 import SOLOv2Config

AnyDetectorConfig: TypeAlias = MaskRCNNConfig | SOLOv2Config

__all__ = ["AnyDetectorConfig", "MaskRCNNConfig", "SOLOv2Config"]
