"""Mask R-CNN in JAX/Flax as pure functions.

``maskrcnn_jax.load(path)(image)`` finds objects. It is imported when it is first asked for: data
workers import this package, too, and need no detector.
"""

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskrcnn_jax.inference.detector import load

    __version__: str

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from maskrcnn_jax.inference.detector import load

        return load
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    try:
        return metadata.version("maskrcnn-jax")
    except metadata.PackageNotFoundError:  # run from its folder, without being installed
        return "0+unknown"
