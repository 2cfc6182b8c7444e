"""Holds this project against torchvision, which runs beside it on weights that we export.

    python tests/parity/torchvision_live.py --torch-python .venv-peers/bin/python

The weights are seeded: every stage then has much to do (a hundred confident detections in every
image), a random network magnifies rounding more than a trained one, and nothing has to be loaded.
Prints each difference beside its bar. Exits with 0 if all are within their bars, otherwise with 1.
"""

import argparse
import dataclasses
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# A script finds modules beside itself only, and the presets belong to no package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import numpy as np

import configs
from maskrcnn_jax import cli
from maskrcnn_jax.convert.torchvision import NAMING
from maskrcnn_jax.convert.weights import from_state_dict
from maskrcnn_jax.errors import exits_on_input_error
from maskrcnn_jax.evaluation.results import ImageDetections, in_original_frame
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.norms import FrozenBatchNormConfig
from maskrcnn_jax.structures import Batch
from tests.parity import ours, photos
from tests.parity import torchvision_cases as cases
from tests.parity.comparison import Difference, identical, table
from tests.parity.golden_comparison import compare_prediction
from tests.parity.goldens import batch_of
from tests.parity.torchvision_process import Torchvision, write_shapes

_SIZE = (470, 630)  # large enough for RoIs of every level
_TRAINING = cases.TrainingCase(size=(200, 270), num_objects=(8, 5), num_proposals=150)
# The norms in models that were not published by torchvision.
_TRAINED_ANEW = FrozenBatchNormConfig(epsilon=1e-5)
_PHOTOS = Path(__file__).resolve().parents[3] / "shared/data/coco2017_mini/val2017"
_NUM_PHOTOS = 50

# Torchvision's names of the other backbones with presets, and what these are here.
_BACKBONES: dict[str, dict[str, Any]] = {
    "resnet101": {"depth": 101},
    "resnext101_32x8d": {"depth": 101, "groups": 32, "width_per_group": 8},
}


def check_inference(torchvision: Torchvision, image: np.ndarray) -> list[Difference]:
    """Every stage of one image."""
    inputs = {"resized_rgb": image}
    outputs = torchvision.predict({"image": inputs}, num_masks=100)["image"]
    golden, config = cases.golden_of(inputs, outputs), torchvision.experiment.model
    found = ours.predict(torchvision.variables, batch_of(golden), config=config)
    return compare_prediction(found, golden, config=config)


def check_training(torchvision: Torchvision) -> list[Difference]:
    """Losses and gradients of a batch of two images, every anchor and every proposal sampled."""
    inputs, num_proposals = _TRAINING.inputs(), _TRAINING.num_proposals
    outputs = torchvision.train({"scenes": inputs}, num_proposals=num_proposals)["scenes"]
    return cases.compare_step(
        torchvision.variables,
        inputs,
        outputs,
        config=torchvision.experiment.model,
        num_proposals=num_proposals,
    )


def check_arrays(torchvision: Torchvision) -> list[Difference]:
    """Our export, loaded and saved by torch, read by us: every byte of every array."""
    exported, resaved = torchvision.exported().tensors, torchvision.resave()
    read = from_state_dict(resaved, where="torch.save").tensors
    return [
        identical(
            "arrays saved by torch", _checksums(NAMING.to_theirs(exported)), _checksums(resaved)
        ),
        identical("arrays read again", _checksums(exported), _checksums(read)),
    ]


def check_detections(
    torchvision: Torchvision, images: Mapping[str, np.ndarray]
) -> list[Difference]:
    """Final detections in many images."""
    inputs = {name: {"resized_rgb": image} for name, image in images.items()}
    outputs = torchvision.predict(inputs, num_masks=0)
    theirs = [cases.detections_of(inputs[name], outputs[name]) for name in images]
    found = detect(torchvision.variables, images.values(), config=torchvision.experiment.model)
    return photos.compare_detections(found, theirs)


def detect(
    variables: Any, images: Iterable[np.ndarray], *, config: MaskRCNNConfig
) -> Iterator[ImageDetections]:
    """Our detections in images, one by one."""

    @jax.jit
    def predict(variables: Any, batch: Batch) -> Any:
        return config.build().apply(variables, batch, method="predict")

    for image in images:
        batch = cases.batch_of({"images": image[None], **cases.NO_OBJECTS})
        detections = jax.tree.map(lambda x: x[0], predict(variables, batch))
        size = image.shape[:2]
        yield in_original_frame(detections, resized=size, original=size, paste=config.paste)


def with_backbone(backbone: str, python: Path, experiment: ExperimentConfig) -> Torchvision:
    """The same detector with another ResNet, as trained anew."""
    experiment = _with(experiment, **_BACKBONES[backbone], norm=_TRAINED_ANEW)
    with tempfile.TemporaryDirectory() as folder:
        shapes = Path(folder) / "shapes.json"
        write_shapes(python, shapes, backbone=backbone)
        variables = cases.seeded_variables(experiment.model, shapes=shapes)
    return Torchvision(python=python, backbone=backbone, experiment=experiment, variables=variables)


def run(python: Path) -> bool:
    """All checks: whether all passed."""
    experiment = configs.load("torchvision_r50_fpn")
    published = Torchvision(
        python=python,
        experiment=experiment,
        variables=cases.seeded_variables(experiment.model),
    )
    anew = dataclasses.replace(published, experiment=_with(experiment, norm=_TRAINED_ANEW))
    single = dataclasses.replace(
        published,
        variables=jax.tree.map(lambda x: np.asarray(x, np.float32), published.variables),
    )
    scene = cases.prediction_inputs(0, size=_SIZE)["resized_rgb"]
    passed = [
        report("arrays there and back", check_arrays(single)),
        report("inference, float64", check_inference(published, scene)),
        report("training, float64, norms with epsilon 1e-5", check_training(anew)),
    ]
    for backbone in _BACKBONES:
        other = with_backbone(backbone, python, experiment)
        passed += [
            report(f"inference of {backbone}, float64", check_inference(other, scene)),
            report(f"training of {backbone}, float64", check_training(other)),
        ]
    if not _PHOTOS.is_dir():
        print(f"\nphotographs: left out, {_PHOTOS} does not exist")
        return all(passed)
    images = photos.read_photos(_PHOTOS, count=_NUM_PHOTOS)
    first = next(iter(images.values()))
    passed += [
        report("a photograph, float64", check_inference(published, first)),
        report(f"{len(images)} photographs, float32", check_detections(single, images)),
    ]
    return all(passed)


def report(title: str, differences: list[Difference]) -> bool:
    """Prints a check's table: whether it passed."""
    print(f"\n{title}\n{table(differences)}", flush=True)
    return all(item.passes for item in differences)


@exits_on_input_error
def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch-python", type=Path, required=True)
    options = parser.parse_args(argv)
    cli.use_compilation_cache()
    sys.exit(0 if run(options.torch_python) else 1)


def _with(experiment: ExperimentConfig, **of_backbone: Any) -> ExperimentConfig:
    model = experiment.model
    backbone = dataclasses.replace(model.backbone, **of_backbone)
    return dataclasses.replace(experiment, model=dataclasses.replace(model, backbone=backbone))


def _checksums(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, str, tuple[int, ...], int]]:
    return [
        (name, x.dtype.name, x.shape, zlib.crc32(x.tobytes())) for name, x in sorted(arrays.items())
    ]


if __name__ == "__main__":
    main()
