"""A trained detector as a plain function: ``maskrcnn_jax.load(path)(image)``."""

from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from maskrcnn_jax.convert.loading import load_detector
from maskrcnn_jax.convert.recognise import recognise_experiment, recognise_run
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig
from maskrcnn_jax.data.images import check_pixels, read_image
from maskrcnn_jax.data.pipeline import stack
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.exporting.exported import ExportedDetector, is_exported, load_exported
from maskrcnn_jax.inference.predictor import Predictor
from maskrcnn_jax.training.sharding import DATA_AXIS


def load(
    path: str | Path,
    *,
    config: ExperimentConfig | None = None,
    categories: str | Path | None = None,
    augmentation: AugmentationConfig = NO_AUGMENTATION,
) -> "Detector | ExportedDetector":
    """A detector from a work directory of train.py, a file of weights, or one of export.py.

    Weights may be of Detectron2, torchvision, MMDetection or this program. What detector it is
    for is read off the file; ``config`` (a preset, for example) takes the place of that.
    ``categories`` is an annotation file in COCO's format that names the classes, for weights that
    do not: without it they are COCO's, or numbered. An exported file says all of this itself.
    """
    if is_exported(Path(path)):
        if config or categories or augmentation != NO_AUGMENTATION:
            raise InputError(f"{path} is exported: it takes no config, categories or augmentation")
        return load_exported(Path(path))
    weights = read_weights(Path(path))
    run = recognise_run(
        weights,
        config or recognise_experiment(weights),
        categories=None if categories is None else Path(categories),
    )
    predictor = Predictor(
        run.config.model,
        load_detector(weights, run.config.model),
        run.config.input,
        class_names=[category.name for category in run.categories],
        augmentation=augmentation,
        mesh=Mesh(np.asarray(jax.local_devices()[:1]), (DATA_AXIS,)),  # for one image at a time
    )
    return Detector(predictor)


class Detector:
    """Finds objects in one image at a time, on one device.

    The first image of each padded size takes long: the program for it is compiled.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels."""
        return self._predictor.class_names

    def __call__(self, image: np.ndarray | str | Path) -> ImageDetections:
        """What is in an image: RGB, uint8, [height, width, 3], or a file, which is read upright."""
        name = "the image"
        if isinstance(image, str | Path):
            name, image = str(image), read_image(Path(image))
        check_pixels(image)
        views = self._predictor.views(image, name=name, index=0)
        size = (image.shape[0], image.shape[1])
        [(_, found)] = self._predictor.predict([stack([views])], original_size=lambda _: size)
        return found
