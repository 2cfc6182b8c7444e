"""Writes the torch files of this folder; run in an environment with torch, in this folder.

The files at hand were written by torch 2.15.0 for the CPU. What they hold is said again, in numpy,
in ``test_torch_files.py``.
"""

import argparse
import collections

import torch

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"


def dtypes():
    """One tensor of each type, called after it."""
    return {name: torch.arange(3).to(getattr(torch, name)) for name in DTYPES.split()}


def layouts():
    """A training checkpoint: views, parameters and shared storages among other content."""
    whole = torch.arange(24.0)
    model = collections.OrderedDict(
        {
            "rows": whole.reshape(4, 6)[1:3],
            "transposed": whole.reshape(2, 3, 4).permute(2, 0, 1),
            "every_other": whole[1::2],
            "channels_last": torch.arange(24.0)
            .reshape(1, 2, 3, 4)
            .to(memory_format=torch.channels_last),
            "scalar": torch.tensor(7),
            "empty": torch.zeros(0, 3),
            "parameter": torch.nn.Parameter(torch.arange(2.0)),
        }
    )
    model._metadata = collections.OrderedDict({"": {"version": 1}})
    return {
        "model": model,
        "optimizer": {"state": {0: {"momentum": torch.ones(2)}}, "lr": 0.1, "betas": (0.9, 0.5)},
        "args": argparse.Namespace(
            device=torch.device("cpu"), size=torch.Size([2]), amp=torch.half
        ),
        "milestones": collections.Counter([3, 5]),
        "classes": {"person"},
        "epoch": 3,
        "time": None,
    }


for name, content in {"dtypes": dtypes(), "layouts": layouts()}.items():
    torch.save(content, f"{name}_zip.pth")
    torch.save(content, f"{name}_legacy.pth", _use_new_zipfile_serialization=False)

torch.save({"weight": torch.eye(2).to_sparse()}, "sparse.pth")
torch.save(
    {"weight": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, "quantised.pth"
)
torch.save({f"module.{name}": torch.ones(1) for name in "ab"}, "data_parallel.pth")
torch.serialization.set_crc32_options(False)
torch.save({"weight": torch.arange(3.0)}, "without_checksums.pth")
