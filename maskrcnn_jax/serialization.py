"""Configs as JSON: every dataclass carries its type's name, so that unions find their way back.

An abstract class in a union stands for the classes derived from it that have been imported. Nothing
is imported because a file names it.
"""

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from maskrcnn_jax.errors import InputError, did_you_mean

_TAG = "type"


def to_json(value: Any) -> Any:
    """Turns a config into plain dicts, lists, strings and numbers."""
    if dataclasses.is_dataclass(value):
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {_TAG: type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [to_json(x) for x in value]
    return str(value) if isinstance(value, Path) else value


def from_json(kind: Any, value: Any, *, where: str) -> Any:
    """Rebuilds a config of the given type; ``where`` names the file in errors.

    Raises InputError for unknown or missing fields and values of the wrong type.
    """
    if get_origin(kind) in (Union, types.UnionType):
        return _from_union(kind, value, where)
    if dataclasses.is_dataclass(kind):
        return _from_dataclass(kind, value, where)
    if get_origin(kind) is tuple:
        return _from_list(kind, value, where)
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        raise InputError(f"{where}: {value!r} is none of {', '.join(map(repr, get_args(kind)))}")
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is kind and not (kind is float and math.isnan(value)):
        return value
    raise InputError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {value!r}")


def _from_union(kind: Any, value: Any, where: str) -> Any:
    options = get_args(kind)
    if value is None and type(None) in options:
        return None
    options = [option for option in options if option is not type(None)]
    if isinstance(value, dict):
        named = {option.__name__: option for option in _with_derived(options)}
        tag = str(value.get(_TAG))
        if tag not in named:
            raise InputError(f"{where}: unknown type {tag!r}.{_mend(tag, named, options)}")
        return from_json(named[tag], value, where=where)
    for option in options:
        try:
            return from_json(option, value, where=where)
        except InputError:
            continue
    raise InputError(f"{where}: {value!r} is none of {', '.join(str(o) for o in options)}")


def _with_derived(options: list[Any]) -> list[Any]:
    """The options, with what is derived from an abstract one in its place."""
    return [
        kind
        for option in options
        for kind in (option.__subclasses__() if inspect.isabstract(option) else [option])
    ]


def _mend(tag: str, named: Iterable[str], options: list[Any]) -> str:
    hint = " One that is not of this package has to be imported first."
    return did_you_mean(tag, named) + (hint if any(map(inspect.isabstract, options)) else "")


def _from_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict) or value.get(_TAG) != kind.__name__:
        raise InputError(f"{where}: expected a {kind.__name__}, found {value!r}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name in value.keys() - fields.keys() - {_TAG}:
        raise InputError(f"{where}: unknown field {name!r}.{did_you_mean(name, fields)}")
    for name, field in fields.items():
        if name not in value and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}: field {name!r} is missing")
    values = {
        name: from_json(hints[name], value[name], where=f"{where}: {name}")
        for name in fields
        if name in value
    }
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _from_list(kind: Any, value: Any, where: str) -> tuple:
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list, found {value!r}")
    items = get_args(kind)
    if items[-1] is Ellipsis:
        items = items[:1] * len(value)
    if len(items) != len(value):
        raise InputError(f"{where}: expected {len(items)} values, found {len(value)}")
    return tuple(
        from_json(item, x, where=f"{where}[{i}]")
        for i, (item, x) in enumerate(zip(items, value, strict=True))
    )


def differences(a: Any, b: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted path, value in a, value in b) wherever two ``to_json`` results differ.

    Of two configs of different types that is the type alone.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        if a[_TAG] != b[_TAG]:
            return [(f"{path}.{_TAG}".strip("."), a[_TAG], b[_TAG])]
        return [
            difference
            for name in dict.fromkeys([*a, *b])
            for difference in differences(a.get(name), b.get(name), f"{path}.{name}".strip("."))
        ]
    return [] if a == b else [(path, a, b)]
