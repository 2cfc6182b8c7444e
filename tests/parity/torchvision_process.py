"""Runs ``torchvision_reference`` with a Python that has torch, on weights that we export."""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from maskrcnn_jax.convert import torchvision
from maskrcnn_jax.convert.files import read_tensors
from maskrcnn_jax.convert.weights import Weights, from_variables, write_weights
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.training.checkpoint import Run
from tests.parity.torchvision_cases import Arrays

_REFERENCE = Path(__file__).with_name("torchvision_reference.py")


def write_shapes(python: Path, path: Path, *, backbone: str = "resnet50") -> None:
    """Names and shapes of all arrays of torchvision's model, as JSON."""
    _run(python, "shapes", path, "--backbone", backbone)


@dataclass(frozen=True, kw_only=True)
class Torchvision:
    """``maskrcnn_resnet50_fpn`` with the variables of a detector of ours, in their precision.

    ``python`` is an interpreter that has torch and torchvision, ``backbone`` torchvision's name of
    the ResNet.
    """

    python: Path
    backbone: str = "resnet50"
    experiment: ExperimentConfig
    variables: Any

    def exported(self) -> Weights:
        """The variables on their way out."""
        run = Run(config=self.experiment, categories=(), position=0)
        return from_variables(self.variables, run, where="our variables")

    def predict(self, inputs: Mapping[str, Arrays], *, num_masks: int) -> dict[str, Arrays]:
        """Torchvision's answer to each input, by the same names."""
        return self._answers("predict", inputs, "--masks", num_masks)

    def train(self, inputs: Mapping[str, Arrays], *, num_proposals: int) -> dict[str, Arrays]:
        """Losses and gradients of each batch; so many proposals of an image survive NMS."""
        return self._answers("train", inputs, "--train-proposals", num_proposals)

    def resave(self) -> dict[str, np.ndarray]:
        """The tensors after torch has loaded and saved them, by torchvision's names."""
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "resaved.pth"
            self._run("resave", Path(folder), saved)
            return dict(read_tensors(saved).tensors)

    def _answers(
        self, verb: str, inputs: Mapping[str, Arrays], *options: object
    ) -> dict[str, Arrays]:
        with tempfile.TemporaryDirectory() as folder:
            questions, answers = Path(folder) / "inputs", Path(folder) / "outputs"
            questions.mkdir()
            for name, arrays in inputs.items():
                savez: Any = np.savez  # its type takes the names of arrays for its own options
                savez(questions / f"{name}.npz", **arrays)
            self._run(verb, Path(folder), questions, answers, *options)
            return {name: dict(np.load(answers / f"{name}.npz")) for name in inputs}

    def _run(self, verb: str, folder: Path, *arguments: object) -> None:
        weights, norm = folder / "weights.pth", self.experiment.model.backbone.norm
        write_weights(self.exported(), weights, naming=torchvision.NAMING)
        precision = jax.tree.leaves(self.variables)[0].dtype.name
        options = (
            "--backbone",
            self.backbone,
            "--dtype",
            precision,
            "--norm-epsilon",
            getattr(norm, "epsilon", None),
        )
        _run(self.python, verb, *arguments, "--weights", weights, *options)


def _run(python: Path, *arguments: object) -> None:
    subprocess.run([str(part) for part in (python, _REFERENCE, *arguments)], check=True)
