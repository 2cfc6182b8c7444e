"""Strict settings for all tests: two devices, shape types checked, warnings are errors."""

import os
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=2 "
    "--xla_backend_optimization_level=0"  # small programs: compiling takes longer than running
)

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

# Structures are left out: tree transformations put things into them that are not arrays.
_CHECKED = (
    *("backbones", "layers", "losses", "mask_features", "maskrcnn", "necks", "norms", "ops"),
    *("pixels", "roi", "rpn", "solo", "solov2"),
)
install_import_hook([f"maskrcnn_jax.{name}" for name in _CHECKED], "beartype.beartype")

jax.config.update(
    "jax_compilation_cache_dir",
    os.environ.get("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".jax_cache")),
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.load_profile("default")


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """A process that kept all programs of all tests would end in the limits of the system."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and weights beside the repository; a user does not have it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs real data (the folder ../shared), which is not part of the repository")
    return folder


@pytest.fixture
def small_portions(monkeypatch):
    """Mask heads divide even the few RoIs of tiny detectors, as they do those of every preset."""
    from maskrcnn_jax.roi.mask import portions

    monkeypatch.setattr(portions, "_PLACES", 4)


@pytest.fixture
def x64():
    """Double precision for one test."""
    with jax.enable_x64(True):
        yield
