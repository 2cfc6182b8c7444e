"""Where the time of a step goes: ``python -m benchmarks.profiling predict`` or ``gradients``.

For each part of the detector: the time of its operations in one run, by XLA's profiler, their
floating-point operations and the bytes that these read and write, and the operations per second
beside those of a large matrix product on the same device (the share of its peak). Parts that run at
once on several cores count in full, so that the sum may exceed the time of a run.
"""

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import tyro

from benchmarks.profiling.arithmetic import Work, work_of_parts
from benchmarks.profiling.parts import part_of
from benchmarks.profiling.trace import operation_names, operation_seconds
from benchmarks.speed.ours import detector
from maskrcnn_jax import cli


@dataclass(frozen=True, kw_only=True)
class Arguments:
    program: tyro.conf.Positional[Literal["predict", "gradients"]]
    size: tuple[int, int] = (800, 1333)
    batch_size: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    # RoIs of an image in training.
    num_rois: int = 512
    # Objects of an image in training. With few, masks are left out whose operations the table still
    # counts.
    num_objects: int = 130
    # How many runs the times are means of.
    times: int = 3
    # Parts with less than this share of the time are put together.
    least_share: float = 0.01


def run(arguments: Arguments) -> None:
    """Compiles, runs, and prints the table."""
    program = _program(arguments)
    compiled = jax.jit(program.function).lower(*program.arguments).compile()

    def once() -> Any:
        return jax.block_until_ready(compiled(*program.arguments))

    once()
    start = time.perf_counter()
    once()
    whole = time.perf_counter() - start
    names = operation_names(compiled.as_text() or "")
    seconds: dict[str, float] = defaultdict(float)
    for operation, value in operation_seconds(once, times=arguments.times).items():
        seconds[part_of(names.get(operation, ""))] += value
    work = work_of_parts(program.function, *program.arguments)
    print(f"{jax.devices()[0].device_kind}: {whole:.3f} s a run\n")
    print(table(seconds, work, peak=peak(arguments.precision), least_share=arguments.least_share))


def table(
    seconds: dict[str, float], work: dict[str, Work], *, peak: float, least_share: float
) -> str:
    """Markdown, the longest part first; ``peak`` is in operations per second."""
    total = sum(seconds.values())
    shown = sorted(seconds, key=lambda part: -seconds[part])
    large = [part for part in shown if seconds[part] >= least_share * total]
    rows = [
        ("part", "ms", "share", "GFLOP", "GB", "GFLOP/s", "of the peak"),
        ("---",) * 7,
        *(_row(part, [part], seconds, work, peak) for part in large),
        _row("all others", [part for part in shown if part not in large], seconds, work, peak),
        _row("all", shown, seconds, work, peak),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def peak(precision: str) -> float:
    """Operations per second of a large matrix product, the best of five."""
    x = jnp.ones((4096, 4096), precision)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(product(x, x))
        best = min(best, time.perf_counter() - start)
    return 2 * 4096**3 / best


def _row(
    name: str, parts: list[str], seconds: dict[str, float], work: dict[str, Work], peak: float
) -> tuple[str, ...]:
    spent = sum(seconds[part] for part in parts)
    operations = sum(work[part].operations for part in parts if part in work)
    num_bytes = sum(work[part].num_bytes for part in parts if part in work)
    speed = operations / spent if spent else 0
    return (
        name,
        f"{1000 * spent:.1f}",
        f"{spent / sum(seconds.values()):.1%}",
        f"{operations / 1e9:.2f}",
        f"{num_bytes / 1e9:.3f}",
        f"{speed / 1e9:.1f}",
        f"{speed / peak:.1%}",
    )


def _program(arguments: Arguments) -> detector.Program:
    shared: Any = {
        "size": arguments.size,
        "batch_size": arguments.batch_size,
        "precision": arguments.precision,
    }
    if arguments.program == "predict":
        return detector.prediction(**shared)
    return detector.training(
        **shared, num_rois=arguments.num_rois, num_objects=arguments.num_objects
    )


if __name__ == "__main__":
    arguments = tyro.cli(Arguments, description=__doc__)
    cli.use_compilation_cache()
    run(arguments)
