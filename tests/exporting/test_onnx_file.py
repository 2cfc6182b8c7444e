"""What needs no converter; the conversion itself is in ``tests/slow/test_onnx.py``."""

import sys

import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.exporting.onnx_file import write_onnx
from maskrcnn_jax.exporting.onnx_repairs import repaired


def test_without_the_converter_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[onnx\]'"):
        write_onnx(
            *(tmp_path / "a.onnx", lambda weights, images: {}, {}),
            image_size=(4, 4),
            batch_size=1,
            categories=(),
        )
    assert not list(tmp_path.iterdir())


def test_bools_are_chosen_and_maps_are_pooled_as_before(tmp_path):
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")

    text = """
        <ir_version: 10, opset_import: ["": 21]>
        agraph (bool[4] c, bool[4] x, bool[4] y, float[1, 1, 2, 7, 8, 3] m)
            => (bool[4] chosen, float[1, 1, 2, 3, 3, 3] pooled)
        {
            chosen = Where(c, x, y)
            pooled = MaxPool <kernel_shape = [1, 3, 4, 1], strides = [1, 2, 2, 1]> (m)
        }
    """
    model = repaired(onnx.parser.parse_model(text))
    onnx.checker.check_model(model, full_check=True)
    rng = np.random.default_rng(0)
    c, x, y = (rng.random(4) < 0.5 for _ in range(3))
    m = rng.random((1, 1, 2, 7, 8, 3)).astype(np.float32)
    run = reference.ReferenceEvaluator(model).run
    chosen, pooled = run(None, {"c": c, "x": x, "y": y, "m": m})
    np.testing.assert_array_equal(chosen, np.where(c, x, y))
    windows = np.lib.stride_tricks.sliding_window_view(m, (3, 4), axis=(3, 4))
    np.testing.assert_array_equal(pooled, windows[:, :, :, ::2, ::2].max((-1, -2)))
