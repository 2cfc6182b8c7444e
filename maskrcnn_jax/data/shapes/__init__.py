"""A procedural data set: drawn shapes that overlap, on textured backgrounds."""

from maskrcnn_jax.data.shapes.config import ShapesConfig

__all__ = ["ShapesConfig"]
