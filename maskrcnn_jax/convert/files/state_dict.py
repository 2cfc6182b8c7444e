"""The tensors in what a pickle held."""

from typing import Any

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError, about_tensor, check_expansion
from maskrcnn_jax.convert.files.tensors import Contents, Tensor

_PLACES = ("model", "state_dict", "model_state")


def find_tensors(root: Any) -> dict[str, Tensor]:
    """Those under "model", "state_dict" or "model_state", else those of the dict itself.

    The first place that holds any is taken; everything else in the file is ignored.
    """
    if isinstance(root, dict):
        for place in [*map(root.get, _PLACES), root]:
            if isinstance(place, dict):
                found = {name: item for name, item in place.items() if isinstance(item, Tensor)}
                if found:
                    return found
    raise ContentError(f"holds no tensors (by name, in a dict or in its {', '.join(_PLACES)})")


def to_arrays(
    tensors: dict[str, Tensor], contents: Contents, *, file_size: int
) -> dict[str, np.ndarray]:
    """Checks all of them before the first is made."""
    num_bytes, arrays = 0, {}
    for name, tensor in tensors.items():
        with about_tensor(name):
            num_bytes += tensor.check()
    check_expansion(num_bytes, file_size=file_size)
    for name, tensor in tensors.items():
        with about_tensor(name):
            arrays[name] = tensor.array(contents)
    return arrays
