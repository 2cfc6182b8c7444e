import subprocess
import sys

import pytest

import maskrcnn_jax


def test_importing_the_package_imports_nothing_else():
    """Data workers do it."""
    program = """
import sys
import maskrcnn_jax
assert maskrcnn_jax.__version__
print(sorted({"jax", "numpy", "flax", "cv2", "maskrcnn_jax.inference"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def test_what_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        _ = maskrcnn_jax.lod
