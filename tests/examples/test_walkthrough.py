"""The walk is a program: it runs, on a tiny detector, and its page is its own."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from examples.render import read_cells, render
from maskrcnn_jax.errors import InputError
from tests import tiny
from tests.saved_runs import save_run

pytestmark = pytest.mark.usefixtures("small_portions")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples/walkthrough.py"
PICTURES = (
    *("input", "pyramid", "anchors", "objectness", "proposals"),
    *("roi_align", "classes", "class_masks", "pasting", "detections"),
)

TINY = tiny.tiny_config()
# With more places for detections than there are, and a mask head that leaves the empty ones out.
MODEL = dataclasses.replace(
    TINY,
    roi=dataclasses.replace(
        TINY.roi,
        detections=dataclasses.replace(
            TINY.roi.detections, max_detections=40, score_threshold=0.35
        ),
        mask=dataclasses.replace(TINY.roi.mask, norm=None),
    ),
)


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """Runs the script with a tiny detector, on an image; returns the page."""
    image = np.asarray(tiny.random_batch(0).images[0])

    def walk(image=image, model=MODEL):
        save_run(tmp_path / "run", model)
        cv2.imwrite(str(tmp_path / "image.png"), image)
        monkeypatch.setenv("WORKDIR", str(tmp_path / "run"))
        monkeypatch.setenv("IMAGE", str(tmp_path / "image.png"))
        monkeypatch.setenv("OUT", str(tmp_path / "pictures"))
        return render(SCRIPT, tmp_path / "page.md")

    return walk


def test_every_stage_is_printed_and_drawn(walk, tmp_path):
    """That the stages are ``predict`` is checked by the script itself."""
    page = walk()
    assert "P2  stride  4  (1, 16, 24, 16)" in page
    assert "mask logits (40, 28, 28, 3)" in page
    for name in PICTURES:
        assert f"![{name}](pictures/{name}.png)" in page
        assert cv2.imread(str(tmp_path / f"pictures/{name}.png")).std() > 0


def test_other_detectors_are_refused(walk):
    with pytest.raises(InputError, match="a walk through a plain Mask R-CNN"):
        walk(model=tiny.without_masks(TINY))


def test_the_page_in_docs_is_that_of_the_script():
    """But for what was printed, which ``make walkthrough`` writes."""
    page = (ROOT / "docs/walkthrough.md").read_text()
    place = 0
    for cell in read_cells(SCRIPT):
        place = page.find(cell.source, place)
        assert place >= 0, f"run make walkthrough; not in docs/walkthrough.md:\n{cell.source}"
    assert [name for name in PICTURES if f"(walkthrough/{name}.png)" not in page] == []
    assert [name for name in PICTURES if not (ROOT / f"docs/walkthrough/{name}.png").exists()] == []
