"""Reads with the libraries of others what ``write_for_torch.py`` wrote.

Run in an environment with torch, safetensors and numpy (1 or 2), which need not have this package:
``python tests/convert/files/check_with_torch.py FOLDER``.
"""

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import safetensors.torch
import torch


def main(folder: Path) -> None:
    warnings.simplefilter("error")
    with np.load(folder / "expected.npz") as file:
        expected = dict(file)
    path = folder / "weights.pth"
    for options in ({}, {"mmap": True}):
        check(torch.load(path, weights_only=True, **options), expected)
    check(safetensors.torch.load_file(folder / "weights.safetensors"), expected)
    with (folder / "weights.pkl").open("rb") as file:
        content = pickle.load(file, encoding="latin1")  # as Detectron2 does
    assert content["__author__"] == "maskrcnn-jax"
    assert all(array.flags.aligned for array in content["model"].values())
    del expected["bfloat16"]
    check({name: torch.from_numpy(array) for name, array in content["model"].items()}, expected)
    print(f"torch {torch.__version__} and numpy {np.__version__} read the same tensors")


def check(tensors: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        dtype = {"scalar": "int64", "empty": "float32"}.get(name, name)
        assert str(tensors[name].dtype) == f"torch.{dtype}"
        assert tensors[name].shape == array.shape
        assert tensors[name].is_contiguous()
        actual = tensors[name].float() if name == "bfloat16" else tensors[name]
        assert actual.numpy().tobytes() == array.tobytes(), name


if __name__ == "__main__":
    main(Path(sys.argv[1]))
