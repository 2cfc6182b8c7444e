"""Every data set there is. A new one is a file with a config, and one line here.

A config has ``train_split``, ``eval_split`` and ``build(split) -> Dataset``.
"""

from typing import TypeAlias

from maskrcnn_jax.data.coco_format import Coco2017Config, CocoFormatConfig
from maskrcnn_jax.data.shapes import ShapesConfig

DatasetConfig: TypeAlias = CocoFormatConfig | Coco2017Config | ShapesConfig
