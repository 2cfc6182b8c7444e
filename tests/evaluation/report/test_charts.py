import math

import numpy as np
import pytest

from maskrcnn_jax.evaluation.report.charts import (
    Line,
    count_axis,
    histogram,
    line_chart,
    linear_axis,
    path,
)
from maskrcnn_jax.evaluation.report.markup import tag, to_html


def points(d):
    return [tuple(map(float, pair.split())) for pair in d.removeprefix("M").split("L")]


def test_a_path_leaves_out_what_lies_on_a_straight_line_and_nothing_else():
    x = np.arange(8.0)
    y = np.array([5, 5, 5, 3, 1, 1, 1, 4.0])
    assert points(path(x, y)) == [(0, 5), (2, 5), (4, 1), (6, 1), (7, 4)]
    assert points(path(x[:2], y[:2])) == [(0, 5), (1, 5)]
    assert path(x[:1], y[:1]) == "M0 5"
    assert path(x[:0], y[:0]) == ""
    back = np.array([0, 2.0, 1])  # a turn on the same line is a corner
    assert points(path(back, back)) == [(0, 0), (2, 2), (1, 1)]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.013), (-3.2, 7.9), (120, 4000)])
def test_ticks_are_some_round_numbers_inside_of_the_axis(low, high):
    ticks = linear_axis("x", low=low, high=high).ticks
    assert 3 <= len(ticks) <= 11
    assert all(low - 1e-9 <= place <= high * (1 + 1e-9) for place, _ in ticks)
    assert all(float(text) == pytest.approx(place, abs=1e-9) for place, text in ticks)


@pytest.mark.parametrize("largest", [0, 1, 7, 250, 80_000])
def test_counts_have_few_ticks_and_fit(largest):
    axis = count_axis("n", largest=largest)
    assert 2 <= len(axis.ticks) <= 8
    assert math.log2(1 + largest) <= axis.high
    assert all(place <= axis.high for place, _ in axis.ticks)


def test_charts_have_words_for_those_who_do_not_see_them():
    unit = linear_axis("score")
    line = Line(name="a", x=np.array([0, 1.0]), y=np.array([0, 1.0]), series=1)
    drawn = [
        line_chart([line], x=unit, y=unit, description="it rises", marker=0.5),
        histogram(np.linspace(0, 1, 3), np.array([0, 4]), x=unit, series=1, description="one bar"),
    ]
    for chart, words in zip(drawn, ("it rises", "one bar"), strict=True):
        assert (chart.get("role"), chart.get("aria-label")) == ("img", words)
    assert len(drawn[1].findall("rect")) == 1


def test_text_is_never_markup():
    html = to_html(tag("p", "<script>", tag("b", "a & b"), "</p>", title='"><img src=x>')).decode()
    assert html.endswith(
        'title="&quot;&gt;<img src=x&gt;">&lt;script&gt;<b>a &amp; b</b>&lt;/p&gt;</p>\n'
    )


def test_attributes_and_what_is_none():
    element = tag("p", None, ["a", ["b", tag("br")], "c"], class_="x", aria_label="y", id=None)
    assert to_html(element).decode().split("\n")[1] == ('<p class="x" aria-label="y">ab<br>c</p>')
