"""The program as an ONNX file, for onnxruntime, by jax2onnx: the extra ``onnx``."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.exporting.onnx_repairs import repaired
from maskrcnn_jax.exporting.program import Program, Weights
from maskrcnn_jax.files import write_bytes

ONNX_SUFFIX = ".onnx"


def write_onnx(
    path: Path,
    program: Program,
    weights: Weights,
    *,
    image_size: Size,
    batch_size: int,
    categories: Sequence[Category],
) -> None:
    """Converts the program with its weights inside; inputs and outputs keep their names.

    It is traced here: jax2onnx puts layers of its own in the place of Flax's otherwise.
    """
    jax2onnx = _import_jax2onnx()
    images = jax.ShapeDtypeStruct((batch_size, *image_size, 3), jnp.uint8)
    traced, outputs = jax.make_jaxpr(lambda x: program(weights, x), return_shape=True)(images)
    names = sorted(outputs)  # the order of the leaves of a dict
    # It warns of every value in a loop that it writes down without its type, as ONNX allows.
    logging.getLogger("onnx_ir.serde").setLevel(logging.ERROR)
    try:
        model = jax2onnx.to_onnx(
            jax.extend.core.jaxpr_as_fun(traced),
            [images],
            model_name="maskrcnn_jax",
            input_names=["images"],
            output_names=names,
        )
    except (NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: jax2onnx cannot convert this detector ({error}); docs/export.md says which "
            "have been converted"
        ) from error
    model = repaired(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = "categories", json.dumps([category.name for category in categories])
    write_bytes(path, model.SerializeToString())


def _import_jax2onnx() -> Any:
    try:
        import jax2onnx  # type: ignore  # an extra
    except ImportError as error:
        raise InputError(
            f"ONNX files need a package that is not there ({error}): "
            "pip install -e '.[onnx]', or give --out another suffix than .onnx"
        ) from error
    return jax2onnx
