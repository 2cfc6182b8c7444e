"""Own data in COCO layout, 50 to 5,000 images, from weights of any system.

    python train.py finetune --workdir runs/mine --data.root MYDATA --init.checkpoint WEIGHTS

Looks at the annotations and the weights first, and chooses by them what other presets write down:
classes, model, image sizes, steps, the split to evaluate on. What was chosen and why is printed
before training begins, each as the option that changes it.

WEIGHTS is a detector of Detectron2, torchvision, MMDetection or this program (a file or a work
directory), or an ImageNet backbone. --help lists every option when these two are given. From the
options below, where they are given, others follow.

Hardware: from a laptop up; batches of 2 images unless told otherwise. docs/own_data.md walks
through an example: 120 images, box AP .621 and mask AP .503 after an hour on 2 busy CPU cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from configs.penn_fudan import penn_fudan
from configs.solov2_r50_fpn_1x import solov2_r50_fpn_1x
from maskrcnn_jax import cli
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.experiment import ExperimentConfig, RunConfig, semantic_labels
from maskrcnn_jax.finetuning.fitted import FittedConfig
from maskrcnn_jax.finetuning.own_data import DataPlace, OwnData, look_at
from maskrcnn_jax.finetuning.sizes import ImageSizes, sizes_for
from maskrcnn_jax.finetuning.start import Start, go_on_from, start_from, without_semantic_maps
from maskrcnn_jax.finetuning.steps import steps_for
from maskrcnn_jax.serialization import differences, to_json
from maskrcnn_jax.solov2 import SOLOv2Config
from maskrcnn_jax.training.checkpoint import has_checkpoint
from maskrcnn_jax.training.optimizer import SGDConfig

# Where images have no more objects, so many RoIs of each train the heads: as for Penn-Fudan, whose
# images have up to 7 (configs/penn_fudan.py). They are most of the work on small images.
_FEW_OBJECTS, _FEW_SAMPLES = 8, 128


@dataclass(frozen=True, kw_only=True)
class _Input:
    # Images of a step, over all devices.
    batch_size: int = 2
    # None: about the size that the images have.
    short_sides: tuple[int, ...] | None = None
    # Whether images without objects are trained on.
    keep_empty: bool = False


@dataclass(frozen=True, kw_only=True)
class _Schedule:
    # None: by the number of images.
    epochs: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Optimizer:
    schedule: _Schedule = field(default_factory=_Schedule)


@dataclass(frozen=True, kw_only=True)
class Given:
    """The options from which others follow."""

    # Where the run is written, or goes on.
    workdir: Path | None = None
    data: DataPlace = field(default_factory=DataPlace)
    init: InitConfig = field(default_factory=InitConfig)
    input: _Input = field(default_factory=_Input)
    optimizer: _Optimizer = field(default_factory=_Optimizer)


def finetune(options: Sequence[str]) -> FittedConfig:
    """What suits the data and the weights that the ``options`` of a command line name."""
    given = _read(options)
    data = look_at(given.data)
    start = _start(given, data)
    sizes = sizes_for(data.image_sizes(), data.object_sides(), short_sides=given.input.short_sides)
    inputs = _input(given, start, sizes)
    epochs = given.optimizer.schedule.epochs
    num_images = data.num_images if inputs.keep_empty else data.num_with_objects
    steps = steps_for(num_images, batch_size=inputs.batch_size, epochs=epochs)
    model = _sampled_for(start.model, most_objects=data.most_objects)
    optimizer = replace(_tried_optimizer(start), schedule=steps.schedule)
    changed = differences(to_json(Given()), to_json(given))
    return FittedConfig(
        config=ExperimentConfig(
            model=model,
            data=data.config(),
            input=inputs,
            optimizer=optimizer,
            init=start.init,
            run=RunConfig(checkpoint_every=steps.checkpoint_every),
        ),
        heading=(f"finetune looked at {data.annotation_file} and {start.where}:", start.describe()),
        reasons={
            **data.reasons(),
            **start.reasons(),
            **_sampling_reason(model, most_objects=data.most_objects),
            **sizes.reasons(),
            "input.batch_size": "for one device; more of them need a multiple of their number",
            "optimizer.learning_rate": _why_rate(optimizer, batch_size=inputs.batch_size),
            **steps.reasons(),
        },
        given=frozenset(option for option, _, _ in changed),
        warnings=(*data.warnings(), *sizes.warnings()),
    )


def _read(options: Sequence[str]) -> Given:
    """Where there is nothing to look at yet, --help shows what to give and ends the program."""
    given = cli.some_of(Given, options, default=Given())
    weights = given.init.backbone or given.init.checkpoint
    goes_on = given.workdir is not None and has_checkpoint(given.workdir)
    if not (given.data.root and (weights or goes_on)) and cli.help_topic(options) is not None:
        cli.parse(Given, options, prog="train.py finetune", description=__doc__, default=given)
    return given


def _start(given: Given, data: OwnData) -> Start:
    if given.workdir is not None and has_checkpoint(given.workdir):
        return go_on_from(given.workdir)
    start = start_from(given.init, data.categories)
    return start if data.has_semantic_maps else without_semantic_maps(start)


def _input(given: Given, start: Start, sizes: ImageSizes) -> InputConfig:
    return InputConfig(
        batch_size=given.input.batch_size,
        eval_batch_size=given.input.batch_size,
        short_sides=sizes.short_sides,
        keep_empty=given.input.keep_empty,
        eval_short_side=sizes.eval_short_side,
        long_side=sizes.long_side,
        padded_sizes=sizes.padded_sizes,
        semantic_labels=semantic_labels(start.model),
    )


def _sampled_for(model: AnyDetectorConfig, *, most_objects: int) -> AnyDetectorConfig:
    """The model with fewer samples where images have few objects; what it predicts is the same."""
    if isinstance(model, SOLOv2Config) or most_objects > _FEW_OBJECTS:
        return model
    sampling = model.roi.sampling
    sampling = replace(sampling, num_samples=min(sampling.num_samples, _FEW_SAMPLES))
    return replace(model, roi=replace(model.roi, sampling=sampling))


def _sampling_reason(model: AnyDetectorConfig, *, most_objects: int) -> dict[str, str]:
    if isinstance(model, SOLOv2Config):
        return {}
    why = f"an image has at most {most_objects} objects"
    return {"model.roi.sampling.num_samples": why}


def _tried_optimizer(start: Start) -> SGDConfig:
    """That with which such a model is known to learn; its schedule is another matter."""
    if start.run is not None:
        return start.run.optimizer
    if start.is_backbone:
        return penn_fudan().optimizer
    is_solo = isinstance(start.model, SOLOv2Config)
    return (solov2_r50_fpn_1x() if is_solo else mask_rcnn_r50_fpn_1x()).optimizer


def _why_rate(optimizer: SGDConfig, *, batch_size: int) -> str:
    scaled_from = optimizer.reference_batch_size or batch_size
    why = f"for batches of {scaled_from}"
    if scaled_from == batch_size:
        return why
    return f"{why}, so {optimizer.peak(batch_size):g} for {batch_size}"
