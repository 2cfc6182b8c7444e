"""Charts as SVG. Colours and letters are those of the page's style, so they follow its theme.

A chart is ``_WIDTH`` units wide, about the width of a telephone in CSS pixels, and is shown near
that size: letters stay readable when it is made smaller or larger with its column.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.markup import Element, tag

_WIDTH, _HEIGHT = 360, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 350, 10, 218


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What one side of a chart shows, from ``low`` to ``high``; ticks have a place and a text."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """``series`` numbers the styles of lines (colour and dashes) from 1."""

    name: str
    x: np.ndarray
    y: np.ndarray
    series: int


def linear_axis(label: str, *, low: float = 0.0, high: float = 1.0) -> Axis:
    """With about five ticks at round numbers."""
    aim = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(aim))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= 0.75 * aim)
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ticks = [(number * step, f"{number * step:.3g}") for number in numbers]
    return Axis(label=label, low=low, high=high, ticks=ticks)


def count_axis(label: str, *, largest: int) -> Axis:
    """Logarithmic: what shows n has the place ``log_count(n)``."""
    factors = (1, 3) if largest < 1000 else (1,)
    numbers = [factor * 10**power for power in range(len(str(largest))) for factor in factors]
    ticks = [(float(log_count(n)), f"{n:,}") for n in (0, *numbers) if n <= max(largest, 1)]
    return Axis(label=label, low=0, high=1.02 * float(log_count(max(largest, 1))), ticks=ticks)


def log_count(counts: np.ndarray | int) -> np.ndarray:
    """Logarithm that is 0 for nothing and 1 for one."""
    return np.log2(1 + np.asarray(counts))


def line_chart(
    lines: Sequence[Line], *, x: Axis, y: Axis, description: str, marker: float | None = None
) -> Element:
    """``description`` says in words what is seen; ``marker`` is a place on the axis ``x``."""
    drawing = [
        tag(
            "path",
            d=path(_across(line.x, x), _up(line.y, y)),
            class_=f"line series-{line.series}",
        )
        for line in lines
    ]
    if marker is not None:
        place = number(_across(marker, x))
        drawing.append(tag("path", d=f"M{place} {_TOP}V{_BOTTOM}", class_="marker"))
    return _chart(drawing, x=x, y=y, description=description)


def histogram(
    borders: np.ndarray, counts: np.ndarray, *, x: Axis, series: int, description: str
) -> Element:
    """Bars between ``borders``, one more than there are ``counts``, on a logarithmic axis."""
    y = count_axis("detections", largest=int(counts.max(initial=0)))
    edges, tops = _across(borders, x), _up(log_count(counts), y)
    bars = [
        tag(
            "rect",
            x=number(edges[i] + 0.75),
            y=number(tops[i]),
            width=number(edges[i + 1] - edges[i] - 1.5),
            height=number(_BOTTOM - tops[i]),
            class_=f"area series-{series}",
        )
        for i in np.flatnonzero(counts)
    ]
    return _chart(bars, x=x, y=y, description=description)


def legend(lines: Sequence[Line], notes: Sequence[str]) -> Element:
    """Names beside their strokes, with a note behind each."""
    entries = zip(lines, notes, strict=True)
    return tag("ul", [_legend_entry(line, note) for line, note in entries], class_="legend")


def path(x: np.ndarray, y: np.ndarray) -> str:
    """A path through points, without those that lie on a straight line between their neighbours.

    Precision over recall has long flat parts: a page with a chart for each class stays small.
    """
    steps = np.stack([np.diff(x), np.diff(y)])
    before, after = steps[:, :-1], steps[:, 1:]
    turn = before[0] * after[1] - before[1] * after[0]
    kept = np.ones(len(x), bool)
    kept[1:-1] = (np.abs(turn) > 1e-6) | ((before * after).sum(axis=0) < 0)
    corners = zip(x[kept], y[kept], strict=True)
    return "M" * bool(len(x)) + "L".join(f"{number(a)} {number(b)}" for a, b in corners)


def number(value: float | np.ndarray) -> str:
    """In units of the chart, to a tenth."""
    return f"{float(value):.1f}".removesuffix(".0")


def _across(values: np.ndarray | float, axis: Axis) -> np.ndarray:
    share = (np.asarray(values) - axis.low) / (axis.high - axis.low)
    return _LEFT + share * (_RIGHT - _LEFT)


def _up(values: np.ndarray, axis: Axis) -> np.ndarray:
    share = (np.asarray(values) - axis.low) / (axis.high - axis.low)
    return _BOTTOM - share * (_BOTTOM - _TOP)


def _chart(drawing: list[Element], *, x: Axis, y: Axis, description: str) -> Element:
    return tag(
        "svg",
        [_x_tick(place, text, x) for place, text in x.ticks],
        [_y_tick(place, text, y) for place, text in y.ticks],
        tag("path", d=f"M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}", class_="axis"),
        _label(x.label, f"translate({(_LEFT + _RIGHT) / 2:g} {_HEIGHT - 8})"),
        _label(y.label, f"translate(12 {(_TOP + _BOTTOM) / 2:g}) rotate(-90)"),
        drawing,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=description,
        class_="chart",
    )


def _x_tick(value: float, text: str, axis: Axis) -> list[Element]:
    place = number(float(_across(value, axis)))
    letters = tag("text", text, x=place, y=_BOTTOM + 17, text_anchor="middle")
    return [tag("path", d=f"M{place} {_TOP}V{_BOTTOM}", class_="grid"), letters]


def _y_tick(value: float, text: str, axis: Axis) -> list[Element]:
    place = float(_up(np.asarray(value), axis))
    letters = tag("text", text, x=_LEFT - 6, y=number(place + 4), text_anchor="end")
    return [tag("path", d=f"M{_LEFT} {number(place)}H{_RIGHT}", class_="grid"), letters]


def _label(text: str, transform: str) -> Element:
    return tag("text", text, transform=transform, text_anchor="middle", class_="label")


def _legend_entry(line: Line, note: str) -> Element:
    stroke = tag("path", d="M1 5H27", class_=f"line series-{line.series}")
    swatch = tag("svg", stroke, viewBox="0 0 28 10", class_="swatch", aria_hidden="true")
    return tag("li", swatch, f" {line.name} ", tag("b", note))
