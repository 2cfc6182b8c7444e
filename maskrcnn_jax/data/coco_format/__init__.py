"""Data sets in COCO layout: an annotation file for each split, and image folders."""

from maskrcnn_jax.data.coco_format.config import Coco2017Config, CocoFormatConfig

__all__ = ["Coco2017Config", "CocoFormatConfig"]
