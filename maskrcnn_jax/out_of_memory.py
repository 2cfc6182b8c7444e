"""Running out of memory, of a device or of the host, told with what to change."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import jax

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig

_SIDES = "--input.eval-short-side and --input.long-side"


@contextlib.contextmanager
def explained(advice: str) -> Iterator[None]:
    """Turns running out of memory into an ``InputError`` that ends with ``advice``.

    JAX computes ahead of the program: the error may come up later than the step that it is of.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        first, *_ = str(error).splitlines() or ["the host has no more"]
        reason = first.removeprefix("RESOURCE_EXHAUSTED: ").rstrip(".")
        raise InputError(f"not enough memory: {reason}. {advice}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy, Python or XLA could not get memory; XLA has one type for all its errors."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )


def training_advice(config: ExperimentConfig) -> str:
    """What to change to train with less memory, in the order in which to try it."""
    inputs, run, model = config.input, config.run, config.model
    num_devices, is_cpu = jax.device_count(), jax.devices()[0].platform == "cpu"
    on_each = inputs.batch_size // num_devices
    parts = _next_divisor(on_each, above=run.micro_batches)
    least = num_devices * run.micro_batches
    fewer = max(inputs.batch_size // 2 // least, 1) * least
    again = "the backward pass computes more again: same result, more time"
    rows = (
        (parts, f"--run.micro-batches {parts}", "fewer images at once: same result, more time"),
        (
            run.pictures_every,
            "--run.pictures-every 0",
            "no pictures, which take memory, too",
        ),
        (fewer < inputs.batch_size, f"--input.batch-size {fewer}", "the learning rate follows"),
        # XLA's compiler for the CPU undoes it.
        (not (model.backbone.remat or is_cpu), "--model.backbone.remat True", again),
        (True, "--input.padded-sizes", f"smaller images, with --input.short-sides, {_SIDES}"),
        (model.precision == "float32", "--model.precision bfloat16", "numbers of half the size"),
        (
            num_devices > 1 and not run.shard_state,
            "--run.shard-state True",
            "weights and momentum divided over the devices: same result",
        ),
    )
    return _as_text(
        rows,
        at_once=on_each // run.micro_batches,
        padded_sizes=inputs.training_padded_sizes(),
        ending="A run that has a checkpoint goes on with other --run and --model options of these; "
        "with other --input options it needs another --workdir.",
    )


def prediction_advice(
    model: AnyDetectorConfig,
    inputs: InputConfig,
    augmentation: AugmentationConfig,
    *,
    batch_size: int,
) -> str:
    """What to change to predict, ``batch_size`` images on all devices together, with less."""
    num_devices = jax.device_count()
    at_once = -(-batch_size // num_devices)
    fewer = num_devices * (at_once // 2)
    smaller = sorted(augmentation.scales)[: len(augmentation.scales) // 2]
    scales = " ".join(f"{scale:g}" for scale in smaller)
    rows = (
        (smaller, f"--augmentation.scales {scales}", "fewer and smaller views at once"),
        (augmentation != NO_AUGMENTATION, "--tta False", "one view"),
        (fewer, f"--input.eval-batch-size {fewer}", "fewer images at once: same result"),
        (True, "--input.padded-sizes", f"smaller images, with {_SIDES}"),
        (model.precision == "float32", "--model.precision bfloat16", "numbers of half the size"),
    )
    return _as_text(
        rows,
        at_once=at_once,
        padded_sizes=inputs.padded_sizes,
        ending="What a script does not take with --workdir DIR it takes with --init.checkpoint "
        "DIR.",
    )


def _next_divisor(number: int, *, above: int) -> int | None:
    return next((n for n in range(above + 1, number + 1) if number % n == 0), None)


def _as_text(
    rows: Iterable[tuple[object, str, str]],
    *,
    at_once: int,
    padded_sizes: Sequence[Size],
    ending: str,
) -> str:
    """``rows`` are options and what they do, with what must be true for them to be told."""
    sizes = " or ".join(f"{height}x{width}" for height, width in padded_sizes)
    devices = f"{jax.device_count()} {jax.devices()[0].platform} device(s)"
    told = [(option, effect) for applies, option, effect in rows if applies]
    width = max(len(option) for option, _ in told)
    return "\n".join(
        [
            f"Each of {devices} had {at_once} image(s) of {sizes} at once. To change, in this "
            "order:",
            *(f"  {option:{width}}  {effect}" for option, effect in told),
            ending,
        ]
    )
