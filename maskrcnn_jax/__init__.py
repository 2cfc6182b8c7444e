"""Mask R-CNN in JAX/Flax as pure functions."""
