"""HTML as a tree of elements. Text is escaped because it is written as text, never as markup."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from typing import TypeAlias

Element: TypeAlias = ElementTree.Element
Content: TypeAlias = str | Element | Iterable["Content"] | None


def tag(name: str, /, *content: Content, **attributes: str | float | None) -> Element:
    """An element with text and elements inside; what is None is left out, lists are joined.

    Attributes are written with ``_`` for ``-``, and with ``_`` at the end of a word of Python:
    ``tag("p", "text", class_="note", aria_hidden="true")``.
    """
    element = ElementTree.Element(name)
    for key, value in attributes.items():
        if value is not None:
            element.set(key.rstrip("_").replace("_", "-"), str(value))
    _append(element, content)
    return element


def to_html(element: Element) -> bytes:
    """The whole document. What is inside of ``style`` and ``script`` is not escaped."""
    text = ElementTree.tostring(element, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n".encode()


def _append(element: Element, content: Content) -> None:
    if content is None:
        return
    if isinstance(content, ElementTree.Element):
        element.append(content)
    elif not isinstance(content, str):
        for part in content:
            _append(element, part)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + content
    else:
        element.text = (element.text or "") + content
