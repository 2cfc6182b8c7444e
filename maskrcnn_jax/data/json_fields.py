"""Takes values out of an annotation file's JSON; what is not as it must be is an ``InputError``."""

import json
from collections.abc import Collection, Iterator
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from maskrcnn_jax.errors import InputError

T = TypeVar("T")

_LARGEST = 2**63  # of ids as of other numbers
_NAMES: dict[type, str] = {int: "an integer", str: "a string", list: "a list", dict: "an object"}


def read_json(path: Traversable) -> Any:
    """Reads a JSON file of the user."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # broken JSON, or bytes that are no text
        raise InputError(f"{path}: is not valid JSON: {error}.") from error


def read_json_object(path: Traversable) -> dict:
    """Reads a file that holds one JSON object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {_describe(content)} where an object must be.")
    return content


def records(content: dict, key: str, path: Traversable) -> Iterator[tuple[dict, str]]:
    """Yields each record of a list with words for where it stands; its "id" is new."""
    seen = set()
    singular = {"categories": "category"}.get(key, key.removesuffix("s"))
    for index, record in enumerate(field(content, key, list, str(path))):
        if not isinstance(record, dict):
            raise InputError(f"{path}: {key}[{index}] is {_describe(record)}, not an object.")
        record_id = field(record, "id", int, f"{path}: {key}[{index}]")
        if record_id in seen:
            raise InputError(
                f"{path}: {singular} id {record_id} occurs twice, again at {key}[{index}]; "
                "give each its own."
            )
        seen.add(record_id)
        yield record, f"{path}: {singular} {record_id}"


def field(record: dict, key: str, kind: type[T], where: str) -> T:
    """The value of a key that must be there; ``True`` and ``False`` are no integers."""
    if key not in record:
        raise InputError(f"{where}: has no {key!r}; add it.")
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where}: {key!r} is {_describe(value)}; it must be {_NAMES[kind]}.")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise InputError(f"{where}: {key!r} is {_describe(value)}; it must be below 2^63.")
    return value


def numbers(record: dict, key: str, where: str, *, count: int) -> tuple[float, ...]:
    """A list of finite numbers."""
    values = field(record, key, list, where)
    if len(values) != count or not all(map(_is_finite_number, values)):
        raise InputError(f"{where}: {key!r} is {values}; it must be {count} finite numbers.")
    return tuple(map(float, values))


def number(record: dict, key: str, where: str) -> float:
    """A finite number, not negative."""
    if key not in record:
        raise InputError(f"{where}: has no {key!r}; add it.")
    value = record[key]
    if not _is_finite_number(value) or value < 0:
        raise InputError(f"{where}: {key!r} is {value!r}; it must be a finite number, 0 or more.")
    return float(value)


def known_id(record: dict, key: str, known: Collection[int], where: str) -> int:
    """The id of another record, which must exist."""
    value = field(record, key, int, where)
    if value not in known:
        nearest = min(known, key=lambda other: abs(other - value))
        raise InputError(f"{where}: {key!r} {value} does not exist; the nearest is {nearest}.")
    return value


def _is_finite_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or type(value) is bool:
        return False
    return abs(value) < _LARGEST  # an integer of JSON may be too large for a float; NaN is not less


def _describe(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
