"""A page about an evaluation: one HTML file to look at, send and keep."""

from maskrcnn_jax.evaluation.report.page import write_report

__all__ = ["write_report"]
