"""Data sets of annotation tools, and Cityscapes, written in COCO layout: ``docs/importing.md``."""
