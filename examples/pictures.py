"""Pictures of what happens inside a detector, for ``walkthrough.py``.

Images are uint8 RGB [h, w, 3], boxes XYXY in their pixels; maps of features are drawn over the
pixels that they stand for.
"""

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from maskrcnn_jax.files import write_bytes
from maskrcnn_jax.ops.sampling_grid import Taps
from maskrcnn_jax.rpn.anchors import AnchorConfig
from maskrcnn_jax.structures import Detections, Proposals

_SIDE = 2.4  # inches of a panel
_BRIGHT = "#ffb000"
_TINT = 0.6 * np.array([255, 176, 0])  # of the object's pixels
_LEVELS = {2: "#0072b2", 3: "#009e73", 4: "#cc3399", 5: "#e85000", 6: "#8a6d00"}


@dataclass(frozen=True)
class Picture:
    """A picture in a file; notebooks show it."""

    path: Path

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()


def write(figure: Figure, name: str, *, folder: Path) -> Picture:
    """Writes a PNG of 128 colours, which is small."""
    path, drawn, encoded = folder / f"{name}.png", io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=84, bbox_inches="tight", pad_inches=0.06)
    Image.open(drawn).convert("RGB").quantize(128, kmeans=1).save(
        encoded, format="png", optimize=True
    )
    write_bytes(path, encoded.getvalue())
    return Picture(path)


def network_input(image: np.ndarray, pixels: Any, *, size: Any) -> Figure:
    """The image of the file beside the padded and normalised input."""
    figure, (left, right) = _panels(2)
    _draw(left, image, f"the file: uint8, {image.shape[0]}x{image.shape[1]}")
    pixels = np.asarray(pixels)
    low, high = pixels.min(), pixels.max()
    pixels = (pixels - low) / (high - low)
    y, x = np.indices(pixels.shape[:2])
    padding = (y >= size[0]) | (x >= size[1])
    pixels[padding] = (0.4 + 0.15 * ((x + y) // 4 % 2))[padding, None]
    _draw(right, pixels, f"the input: float32, {pixels.shape[0]}x{pixels.shape[1]}")
    _frame(right, (0, 0, size[1], size[0]), _BRIGHT, lw=2)
    right.set_xlabel(f"sizes ({size[0]}, {size[1]}); striped: 0")
    return figure


def pyramid(seen: np.ndarray, features: Mapping[int, Any], *, size: Any) -> Figure:
    """The length of the feature vector in each cell of each level."""
    figure, axes = _panels(1 + len(features))
    _draw(axes[0], seen, "input")
    for axis, (level, x) in zip(axes[1:], features.items(), strict=True):
        strength = np.linalg.norm(np.asarray(x[0], np.float32), axis=-1)
        _draw_map(axis, strength, _of_level(level, strength.shape), over=seen, cmap="magma")
        _frame(axis, (0, 0, size[1], size[0]), "white", lw=0.8, ls=":")
    return figure


def anchors(
    seen: np.ndarray,
    boxes: Mapping[int, Any],
    *,
    cells: Mapping[int, tuple[int, int]],
    config: AnchorConfig,
) -> Figure:
    """Where anchors are, and those of the cell in the middle of every level."""
    figure, (left, right) = _panels(2, side=3.4)
    _draw(left, seen, "centres of the anchors", fade=0.55)
    _draw(right, seen, f"the {config.per_cell} of each middle cell", fade=0.55)
    for level, of_level in boxes.items():
        of_cells = np.reshape(of_level, (*cells[level], config.per_cell, 4))
        centres = (of_cells[..., 0, :2] + of_cells[..., 0, 2:]).reshape(-1, 2) / 2
        colour = _LEVELS.get(level, "grey")
        left.plot(*centres.T, ".", color=colour, ms=1.5 * level, mew=0, clip_on=False)
        for box in of_cells[cells[level][0] // 2, cells[level][1] // 2]:
            _frame(right, box, colour, lw=1.8)
        left.plot([], [], "s", color=colour, label=f"P{level}")
    height, width = seen.shape[:2]
    right.set(xlim=(-0.55 * width, 1.55 * width), ylim=(1.55 * height, -0.55 * height))
    figure.legend(loc="outside lower center", ncols=len(boxes), frameon=False)
    return figure


def objectness(
    seen: np.ndarray, logits: Mapping[int, Any], *, cells: Mapping[int, tuple[int, int]]
) -> Figure:
    """The probability of the best anchor of each cell."""
    figure, axes = _panels(len(logits))
    for axis, (level, of_level) in zip(axes, logits.items(), strict=True):
        best = np.asarray(jax.nn.sigmoid(of_level[0])).reshape(*cells[level], -1).max(-1)
        title = _of_level(level, best.shape)
        _draw(axis, seen, "", fade=0.35)
        style = {"cmap": "inferno", "vmin": 0, "vmax": 1, "alpha": 0.3 + 0.7 * best}
        drawn = _draw_map(axis, best, title, over=seen, **style)
    figure.colorbar(drawn, ax=axes[-1], shrink=0.75, label="probability")
    return figure


def proposals(seen: np.ndarray, *, anchors: Any, corrected: Any, kept: Proposals) -> Figure:
    """The best anchors, the boxes they become, and what NMS leaves of all."""
    figure, axes = _panels(3, side=3.0)
    count = len(anchors)
    best = np.asarray(kept.boxes)[np.asarray(kept.valid)][:count]
    panels = {
        f"the {count} best anchors": np.asarray(anchors),
        "corrected by their deltas": np.asarray(corrected),
        f"the {len(best)} best after NMS": best,
    }
    for axis, (title, boxes) in zip(axes, panels.items(), strict=True):
        _draw(axis, seen, title, fade=0.35)
        for rank, box in reversed(list(enumerate(boxes))):
            _frame(axis, box, _by_rank(rank, count), lw=1.2)
    axes[1].set_xlabel("the brighter, the higher the objectness")
    return figure


def roi_align(
    seen: np.ndarray,
    features: Any,
    *,
    box: Any,
    level: int,
    taps: tuple[Taps, Taps],
    pooled: np.ndarray,
) -> Figure:
    """A box in the image, its cells and samples on the map, and the pooled features."""
    figure, (left, middle, right) = _panels(3, side=3.8)
    _draw(left, seen, "a proposal in the input")
    _frame(left, box, _BRIGHT, lw=2.5)
    strength = np.linalg.norm(np.asarray(features, np.float32), axis=-1)
    middle.imshow(strength, cmap="Greys_r", alpha=0.75)  # centres of pixels are whole numbers
    start, end = np.asarray(box[:2]) / 2**level - 0.5, np.asarray(box[2:]) / 2**level - 0.5
    for x, y in zip(*(np.linspace(s, e, len(pooled) + 1) for s, e in zip(start, end, strict=True)),
                    strict=True):  # fmt: skip
        middle.plot([x, x], [start[1], end[1]], color=_BRIGHT, lw=1)
        middle.plot([start[0], end[0]], [y, y], color=_BRIGHT, lw=1)
    _draw_samples(middle, *taps)
    rows, columns = strength.shape
    middle.set_xlim(max(start[0] - 1.5, -0.5), min(end[0] + 1.5, columns - 0.5))
    middle.set_ylim(min(end[1] + 1.5, rows - 0.5), max(start[1] - 1.5, -0.5))
    middle.set_title(f"its cells and samples on P{level}")
    middle.set_xlabel("blue: the pixels that the cell in the middle reads")
    middle.set(xticks=[], yticks=[])
    title = f"pooled: {'x'.join(map(str, pooled.shape))}"
    _draw_map(right, np.linalg.norm(pooled, axis=-1), title, cmap="Greys_r")
    return figure


def _draw_samples(axis: Axes, x: Taps, y: Taps) -> None:
    """All samples, and for the cell in the middle the pixels that its samples read.

    Fixed taps come in pairs, one pair for each sample: the sample lies at their weighted mean.
    """
    positions, reads = [], []
    for taps in (x, y):
        index = np.asarray(taps.index[0]).reshape(len(taps.index[0]), -1, 2)
        weight = np.asarray(taps.weight[0]).reshape(index.shape)
        total = np.maximum(weight.sum(-1), 1e-9)
        positions.append((index * weight).sum(-1) / total)  # [cell, sample]
        reads.append(index)
    xs, ys = np.meshgrid(*(p.ravel() for p in positions))
    axis.plot(xs.ravel(), ys.ravel(), ".", color="white", ms=5, mec="black", mew=0.4)
    cell = len(positions[0]) // 2
    for i, sx in enumerate(positions[0][cell]):
        for j, sy in enumerate(positions[1][cell]):
            for px, py in itertools.product(reads[0][cell, i], reads[1][cell, j]):
                axis.plot([sx, px], [sy, py], color="#00c8ff", lw=1.1)
                axis.plot(px, py, "s", color="#00c8ff", ms=4)
            axis.plot(sx, sy, "o", color="white", ms=5, mec="black", mew=0.8)


def classes(
    seen: np.ndarray,
    *,
    proposal: Any,
    probabilities: Any,
    corrected: Any,
    detections: Detections,
    names: Sequence[str],
) -> Figure:
    """What the box head says of one proposal, and all that is detected."""
    figure, (left, middle, right) = _panels(3, side=3.0)
    values = np.asarray(probabilities)
    best = int(values[:-1].argmax())
    colours = [_BRIGHT if i == best else "#9aa5b1" for i in range(len(values))]
    left.barh([*names, "background"], values, color=colours)
    left.invert_yaxis()
    left.set(xlim=(0, 1), title="class of the proposal", xlabel="probability")
    _draw(middle, seen, f"its box, and that of the {names[best]}")
    _frame(middle, proposal, "white", lw=2, ls="--")
    _frame(middle, corrected[min(best, len(corrected) - 1)], _BRIGHT, lw=2.5)
    _draw(right, seen, "all detections", fade=0.35)
    for i in reversed(range(int(detections.valid.sum()))):
        score = float(detections.scores[i])
        _frame(right, detections.boxes[i], _BRIGHT, lw=2.2 * score + 0.3, alpha=0.2 + 0.8 * score)
    right.set_xlabel("the bolder, the surer")
    return figure


def class_masks(logits: Any, *, label: int, names: Sequence[str]) -> Figure:
    """The mask logits of a detection for every class, that of its own class framed."""
    logits = np.asarray(logits)
    figure, axes = _panels(logits.shape[-1])
    limit = max(float(np.abs(logits).max()), 1e-6)
    for index, (axis, name) in enumerate(zip(axes, names, strict=False)):
        style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        drawn = _draw_map(axis, logits[..., index], name, **style)
        for spine in axis.spines.values():
            spine.set(visible=index == label, color=_BRIGHT, linewidth=4)
    figure.colorbar(drawn, ax=axes[-1], shrink=0.75, label="logit")
    return figure


def pasting(seen: np.ndarray, *, mask: Any, box: Any, pasted: Any) -> Figure:
    """A mask, what it says to the pixels of the image, and the pixels of the object."""
    figure, (left, middle, right) = _panels(3, side=3.0)
    mask, pasted = np.asarray(mask), np.asarray(pasted)
    style = {"cmap": "inferno", "vmin": 0, "vmax": 1}
    _draw_map(left, mask, f"the mask: {mask.shape[0]}x{mask.shape[1]}", **style)
    drawn = _draw_map(middle, pasted, "stretched over its box", **style)
    height, width = pasted.shape
    tinted = np.where(
        (pasted >= 0.5)[..., None], 0.4 * seen[:height, :width] + _TINT, seen[:height, :width]
    )
    _draw(right, tinted.astype(np.uint8), "at least one half")
    x1, y1, x2, y2 = np.asarray(box, float)
    margin = 0.15 * max(x2 - x1, y2 - y1)
    for axis in (middle, right):
        _frame(axis, box, "white", lw=1.5, ls="--")
        axis.set_xlim(max(x1 - margin, 0), min(x2 + margin, width))
        axis.set_ylim(min(y2 + margin, height), max(y1 - margin, 0))
    figure.colorbar(drawn, ax=right, shrink=0.75, label="probability")
    return figure


def final(drawn: np.ndarray) -> Figure:
    """What was found, as ``visualization`` draws it."""
    figure, (axis,) = _panels(1, side=4.4)
    _draw(axis, drawn, "what was found")
    return figure


def _panels(count: int, *, side: float = _SIDE) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(side * count, 1.15 * side), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _draw(axis: Axes, image: np.ndarray, title: str, *, fade: float = 0.0) -> None:
    """The image, or its greys mixed with white, for something to be drawn on."""
    if fade:
        grey = image.mean(-1, keepdims=True).repeat(3, -1)
        image = ((1 - fade) * grey + fade * 255).astype(np.uint8)
    _draw_map(axis, image, title)


def _draw_map(axis: Axes, values: np.ndarray, title: str, *, over: Any = None, **style: Any) -> Any:
    """A map stretched over an image of the size of ``over``, or over its own."""
    height, width = (values if over is None else over).shape[:2]
    axis.set(title=title, xticks=[], yticks=[])
    return axis.imshow(values, extent=(0, width, height, 0), interpolation="nearest", **style)


def _frame(axis: Axes, box: Any, colour: Any, **style: Any) -> None:
    x1, y1, x2, y2 = (float(x) for x in box)
    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, **style))


def _by_rank(rank: int, count: int) -> Any:
    """From bright (the first) to dark."""
    return colormaps["plasma"](0.9 * (1 - rank / count))


def _of_level(level: int, cells: tuple[int, ...]) -> str:
    return f"P{level}: stride {2**level}, {cells[0]}x{cells[1]}"
