"""What sections are made of: tables, bars, figures, and numbers as text."""

import math
from collections.abc import Sequence

from maskrcnn_jax.evaluation.report.markup import Content, Element, tag

UNDEFINED = "-"
_MANY_ROWS = 40


def fraction(value: float) -> str:
    """Three decimals, as in ``eval.py``'s tables."""
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def percent(part: int, whole: int) -> str:
    """A share in whole per cent."""
    return f"{part / whole:.0%}" if whole else UNDEFINED


def counted(number: int, one: str, many: str | None = None) -> str:
    """For example ``1 object`` or ``1,200 objects``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def section(name: str, title: str, *content: Content) -> Element:
    """A part of the page that the navigation leads to."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, content, id=name, aria_labelledby=f"{name}-title")


def data_table(
    *,
    caption: Content,
    head: Sequence[Content],
    rows: Sequence[Sequence[Content]],
    label: str,
    class_: str | None = None,
) -> Element:
    """A table whose first column names the rows.

    The page never scrolls sideways: a table does by itself where it is too wide, and down where it
    has many rows. ``label`` names this region, which can have the keyboard's focus.
    """
    body = [tag("tr", tag("th", row[0], scope="row"), [_cell(x) for x in row[1:]]) for row in rows]
    table = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", [tag("th", cell, scope="col") for cell in head])),
        tag("tbody", body),
        class_=class_,
    )
    return tag(
        "div",
        table,
        class_="scroll tall" if len(rows) > _MANY_ROWS else "scroll",
        role="region",
        tabindex="0",
        aria_label=label,
    )


def bar(value: float, text: str, *, full: float = 1.0) -> Element:
    """A number with a bar that is ``full`` where it fills its cell."""
    share = 0.0 if math.isnan(value) or not full else min(max(value / full, 0), 1)
    fill = tag("span", style=f"width:{100 * share:.1f}%")
    track = tag("span", fill, class_="track", aria_hidden="true")
    return tag("span", track, tag("span", text, class_="value"), class_="bar")


def figure(title: str, *content: Content) -> Element:
    """A chart under its title."""
    return tag("figure", tag("figcaption", tag("h3", title)), content)


def as_table(table: Element) -> Element:
    """The numbers of a chart, folded away."""
    return tag("details", tag("summary", "As a table"), table)


def _cell(content: Content) -> Element:
    return content if isinstance(content, Element) and content.tag == "td" else tag("td", content)
