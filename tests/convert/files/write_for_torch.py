"""Writes files for ``check_with_torch.py``, with the package's own environment.

Usage: ``python tests/convert/files/write_for_torch.py FOLDER``.

One tensor of each type, called after it, and some shapes. bfloat16 is missing where the container
does not have it; ``expected.npz`` has it as float32.
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.convert.files import write_tensors

DTYPES = "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64"


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    values = 100 * rng.random((3, 4, 2))
    tensors = {name: values.astype(name).transpose(2, 0, 1) for name in DTYPES.split()}
    tensors |= {"scalar": np.array(7), "empty": np.zeros((0, 3), np.float32)}
    bfloat16 = values.astype(jnp.bfloat16)
    for suffix in (".pth", ".safetensors"):
        write_tensors(folder / f"weights{suffix}", tensors | {"bfloat16": bfloat16})
    write_tensors(folder / "weights.pkl", tensors)
    np.savez(folder / "expected.npz", **tensors, bfloat16=bfloat16.astype(np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
