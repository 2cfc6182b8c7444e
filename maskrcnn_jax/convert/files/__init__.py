"""Files of weights: named arrays in and out of the containers that other systems use.

=================  =========================================================================
``.npz``           numpy's, with metadata as a JSON string in the entry ``__metadata__``
``.safetensors``   with metadata
``.pth``           torch's zip layout and, for reading, its older one without a zip
``.pkl``           Detectron2's: a pickle of numpy arrays
=================  =========================================================================

A file is recognised by its content. Nothing in it is run: a pickle is read by an interpreter of
its own that knows tensors, arrays and plain containers (``unpickler``, ``allowed``). Everything a
file claims is checked before memory is taken for it; what does not hold is an ``InputError``.
"""

from maskrcnn_jax.convert.files.reader import TensorFile, read_tensors
from maskrcnn_jax.convert.files.writer import write_tensors

__all__ = ["TensorFile", "read_tensors", "write_tensors"]
