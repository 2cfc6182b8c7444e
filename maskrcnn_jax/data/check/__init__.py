"""Lists all that is wrong with a data set in COCO layout, and what training does with each."""

from maskrcnn_jax.data.check.split import check_split

__all__ = ["check_split"]
