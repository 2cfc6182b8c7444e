"""A Markdown table of programs and what they cost."""

from collections.abc import Mapping

from maskrcnn_jax.training.aot.cost import Collectives, Cost
from maskrcnn_jax.training.aot.programs import Program

_GIB, _MIB = 2**30, 2**20

_COLUMNS = (
    "program", "padded size", "images", "arguments", "outputs", "temporaries", "code", "total GiB",
    "TFLOP", "collectives", "compiled in",
)  # fmt: skip
_WIDTHS = tuple(map(len, (*_COLUMNS[:-2], "2 all-reduce (170.0 MiB)", _COLUMNS[-1])))


def heading() -> str:
    """The two lines above the rows."""
    return f"{_row(_COLUMNS)}\n|{'|'.join('-' * (width + 2) for width in _WIDTHS)}|"


def cost_row(program: Program, cost: Cost) -> str:
    """What a program takes of each device; memory in GiB, total last."""
    memory = (cost.arguments, cost.outputs, cost.temporaries, cost.code, cost.memory)
    return _row(
        (
            *_first_cells(program),
            *(f"{num_bytes / _GIB:.2f}" for num_bytes in memory),
            f"{cost.flops / 1e12:.2f}",
            _collectives(cost.collectives),
            f"{cost.compile_seconds:.0f} s",
        )
    )


def overflow_row(program: Program) -> str:
    """For a program that does not fit."""
    unknown = ["-"] * (len(_COLUMNS) - 4)
    return _row((*_first_cells(program), "no fit", *unknown))


def title(program: Program) -> str:
    """Which program it is, in words."""
    height, width = program.size
    images = "image" if program.images_per_device == 1 else "images"
    return f"{program.name} {height}x{width}, {program.images_per_device} {images} per device"


def _first_cells(program: Program) -> tuple[str, str, str]:
    height, width = program.size
    return program.name, f"{height}x{width}", str(program.images_per_device)


def _collectives(found: Mapping[str, Collectives]) -> str:
    parts = [
        f"{count} {kind} ({num_bytes / _MIB:.1f} MiB)"
        for kind, (count, num_bytes) in sorted(found.items())
    ]
    return ", ".join(parts) or "none"


def _row(cells: tuple[str, ...]) -> str:
    padded = (f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))
    return f"| {' | '.join(padded)} |"
