"""Makes the goldens of ``test_torchvision``; needs an environment with torch and torchvision.

    python tests/parity/make_torchvision_goldens.py --torch-python .venv-peers/bin/python

Rewrites tests/parity/data/torchvision_*: the names and shapes of torchvision's arrays, an inference
in the form of ``goldens``, and a training step, whose input ``torchvision_cases`` makes again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# A script finds modules beside itself only, and the presets belong to no package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import configs
from tests.parity import torchvision_cases as cases
from tests.parity.torchvision_process import Torchvision, write_shapes

_NUM_MASKS = 5  # as probabilities


def main(argv: Sequence[str] | None = None) -> None:
    """Asks torchvision for everything anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-python", type=Path, required=True)
    python = parser.parse_args(argv).torch_python
    cases.DATA.mkdir(exist_ok=True)
    write_shapes(python, cases.SHAPES)
    experiment = configs.load("torchvision_r50_fpn")
    torchvision = Torchvision(
        python=python,
        experiment=experiment,
        variables=cases.seeded_variables(experiment.model),
    )
    write("inference", inference(torchvision))
    write("train", training(torchvision))


def inference(torchvision: Torchvision) -> cases.Arrays:
    """The image and all that torchvision finds in it."""
    inputs = cases.prediction_inputs(0, size=cases.GOLDEN_SIZE)
    outputs = torchvision.predict({"scene": inputs}, num_masks=_NUM_MASKS)["scene"]
    return cases.golden_of(inputs, outputs)


def training(torchvision: Torchvision) -> cases.Arrays:
    """A training step without its input, of which there is a checksum."""
    case = cases.GOLDEN_TRAINING
    inputs = case.inputs()
    outputs = torchvision.train({"scenes": inputs}, num_proposals=case.num_proposals)["scenes"]
    return {**outputs, "inputs_crc": np.array(cases.checksum(inputs))}


def write(name: str, arrays: cases.Arrays) -> None:
    """One golden."""
    path = cases.DATA / f"torchvision_{name}.npz"
    savez: Any = np.savez_compressed  # its type takes the names of arrays for its own options
    savez(path, **arrays)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
