"""A detector ready to be used: images go in, detections in their original pixels come out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from maskrcnn_jax import out_of_memory
from maskrcnn_jax.data import image_views
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections, in_original_frame
from maskrcnn_jax.inference.augmentation import make_augmented_step
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.out_of_memory import prediction_advice
from maskrcnn_jax.structures import Batch, Detections
from maskrcnn_jax.training.sharding import data_mesh, replicate, shard_batch
from maskrcnn_jax.training.step import make_predict_step

# One batch for each view of the same images: only one without augmentation.
Views: TypeAlias = tuple[Batch, ...]


class Predictor:
    """A model, with its weights on all devices, or on those of ``mesh``.

    ``class_names`` go into what is handed out.
    """

    def __init__(
        self,
        model: AnyDetectorConfig,
        variables: dict[str, Any],
        config: InputConfig,
        *,
        class_names: Sequence[str] = (),
        augmentation: AugmentationConfig = NO_AUGMENTATION,
        mesh: Mesh | None = None,
    ) -> None:
        self.model = model
        self.config = config
        self.class_names = tuple(class_names)
        self.augmentation = augmentation
        self._mesh = mesh or data_mesh()
        with self._tells_what_to_change():
            self._variables = jax.block_until_ready(replicate(variables, self._mesh))
        self._step = _make_step(model, self._mesh, augmentation)

    def batch_size(self, num_images: int) -> int:
        """How many of ``num_images`` make a batch; every device gets as many.

        With augmentation that is one: the feature maps of all its views are kept.
        """
        if self.augmentation != NO_AUGMENTATION:
            return self._mesh.size
        wanted = max(1, min(self.config.eval_batch_size, num_images))
        return -(-wanted // self._mesh.size) * self._mesh.size

    def views(self, image: UInt8[np.ndarray, "h w 3"], *, name: str, index: int) -> Views:
        """An example of the image in each view; ``name`` is for errors, ``index`` identifies it."""
        padded_size = image_views.fitting_size(image, self.config, name=name)
        return image_views.views(
            image, self.config, self.augmentation, padded_size=padded_size, index=index
        )

    def predict(
        self, batches: Iterable[Views], *, original_size: Callable[[int], Size]
    ) -> Iterator[tuple[int, ImageDetections]]:
        """The index of each image, and what was found in it.

        ``original_size`` gives the (height, width) of the image with an index. The devices work on
        a batch while the results of the one before are handed out.
        """
        with self._tells_what_to_change():
            for batch, running in self._one_ahead(batches):
                detections = jax.device_get(running)
                for row in np.flatnonzero(batch.valid).tolist():
                    index = int(batch.indices[row])
                    yield index, self._in_original_frame(batch, row, detections, original_size)

    def _tells_what_to_change(self) -> AbstractContextManager[None]:
        """When memory does not suffice."""
        most = self.batch_size(self.config.eval_batch_size)
        advice = prediction_advice(self.model, self.config, self.augmentation, batch_size=most)
        return out_of_memory.explained(advice)

    def _in_original_frame(
        self, batch: Batch, row: int, detections: Detections, original_size: Callable[[int], Size]
    ) -> ImageDetections:
        return in_original_frame(
            jax.tree.map(lambda x: x[row], detections),
            resized=batch.sizes[row].tolist(),
            original=original_size(int(batch.indices[row])),
            paste=self.model.paste,
            class_names=self.class_names,
        )

    def _one_ahead(self, batches: Iterable[Views]) -> Iterator[tuple[Batch, Detections]]:
        """Each batch (its first view) and its detections, when the next one has been started."""
        started = None
        for views in batches:
            detections = self._step(self._variables, shard_batch(views, self._mesh))
            if started is not None:
                yield started
            started = (views[0], detections)
        if started is not None:
            yield started


def _make_step(
    model: AnyDetectorConfig, mesh: Mesh, augmentation: AugmentationConfig
) -> Callable[[dict[str, Any], Views], Detections]:
    if augmentation == NO_AUGMENTATION:
        predict = make_predict_step(model.build(), mesh)
        return lambda variables, views: predict(variables, views[0])
    if not isinstance(model, MaskRCNNConfig):
        raise InputError(
            "test-time augmentation puts boxes together and finds masks in them, which "
            f"{type(model).__name__.removesuffix('Config')} cannot; predict without --tta"
        )
    return make_augmented_step(model, mesh, flips=augmentation.flips)
