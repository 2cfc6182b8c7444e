"""The exported file: a zip archive that needs JAX and numpy alone.

    detector.json           what is in it: classes, sizes, inputs, outputs
    weights.npz             every array of the model by its path
    programs/480x640.jax    the program for images of a size (height x width), by ``jax.export``

Nothing is compressed, which weights hardly are. The same detector gives the same bytes.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from maskrcnn_jax.convert.files import npz
from maskrcnn_jax.convert.files.archive import write_entry
from maskrcnn_jax.convert.files.reader import EXPORTED
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.exporting.program import Weights
from maskrcnn_jax.files import replaced

FORMAT = "maskrcnn_jax detector, version 1"
DESCRIPTION, WEIGHTS = EXPORTED, "weights.npz"


def program_name(size: Size) -> str:
    """The name, in the archive, of the program for images of (height, width)."""
    return f"programs/{size[0]}x{size[1]}.jax"


def write_archive(
    path: Path,
    programs: Mapping[Size, jax.export.Exported],
    weights: Weights,
    *,
    categories: Sequence[Category],
) -> None:
    """Writes all of it, or nothing."""
    description = json.dumps(describe(programs, categories=categories), indent=1)
    arrays = {name: np.asarray(x) for name, x in jax.device_get(weights).items()}
    with replaced(path) as file, zipfile.ZipFile(file, "w") as archive:
        write_entry(archive, DESCRIPTION, description.encode())
        for size, program in programs.items():
            write_entry(archive, program_name(size), bytes(program.serialize()))
        with archive.open(zipfile.ZipInfo(WEIGHTS), "w", force_zip64=True) as entry:
            npz.write(entry, arrays, metadata={})


def describe(
    programs: Mapping[Size, jax.export.Exported], *, categories: Sequence[Category]
) -> dict[str, Any]:
    """What a reader has to know that does not have the program in hand; ``b`` is any number."""
    return {
        "format": FORMAT,
        "jax_version": jax.__version__,
        "categories": [{"id": category.id, "name": category.name} for category in categories],
        "programs": [
            {
                "file": program_name(size),
                "height": size[0],
                "width": size[1],
                "platforms": program.platforms,
                "calling_convention_version": program.calling_convention_version,
                "images": _shape(program.in_avals[-1]),
                "outputs": {name: _shape(x) for name, x in _by_name(program).items()},
            }
            for size, program in programs.items()
        ],
    }


def _by_name(program: jax.export.Exported) -> dict[str, Any]:
    return jax.tree.unflatten(program.out_tree, program.out_avals)


def _shape(array: Any) -> str:
    """For example ``uint8[b, 480, 640, 3]``."""
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"
