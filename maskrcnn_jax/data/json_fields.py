"""Takes values out of a user's JSON; what is not as it must be is a ``DataError``."""

import bisect
import functools
import json
import reprlib
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from maskrcnn_jax.data.problems import READ_ERRORS, DataError, Kind, Problem, Report, attempt

T = TypeVar("T")

LARGEST = 2**63  # of ids as of other numbers
_NAMES: dict[type, str] = {int: "an integer", str: "a string", list: "a list", dict: "an object"}

_short = reprlib.Repr()  # a value may be as long as the file, or as deep as Python can parse
_short.maxstring = _short.maxlong = _short.maxother = 60


class Ids(frozenset[int]):
    """The ids of a list of records, of which many may have to be found missing."""

    def nearest(self, value: int) -> int:
        """The id next to ``value``, the smaller of two; there must be one."""
        place = bisect.bisect(self._sorted, value)
        return min(self._sorted[max(place - 1, 0) : place + 1], key=lambda id: abs(id - value))

    @functools.cached_property
    def _sorted(self) -> list[int]:
        return sorted(self)


def read_json(path: Traversable) -> Any:
    """Reads a JSON file of the user, in which no object may have a key twice."""
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_object)
    except READ_ERRORS as error:
        text = f"cannot be read: {getattr(error, 'strerror', None) or error}."
        raise DataError(Kind.UNREADABLE_FILE, text, where=str(path)) from error
    except DataError as error:
        raise DataError(error.problem.kind, error.problem.text, where=str(path)) from None
    except ValueError as error:  # broken JSON, or bytes that are no text
        raise DataError(
            Kind.INVALID_JSON, f"is not valid JSON: {error}.", where=str(path)
        ) from error
    except RecursionError:
        text = "is not valid JSON for us: lists or objects are nested too deeply."
        raise DataError(Kind.INVALID_JSON, text, where=str(path)) from None


def read_json_object(path: Traversable) -> dict:
    """Reads a file that holds one JSON object."""
    content = read_json(path)
    if not isinstance(content, dict):
        text = f"holds {shown(content)} where an object must be."
        raise DataError(Kind.WRONG_TYPE, text, where=str(path))
    return content


def records(
    content: dict, key: str, path: Traversable, report: Report
) -> Iterator[tuple[int, dict, str]]:
    """Yields the id of each record of a list, the record, and words for where it stands.

    A record without an id is passed over when that has been reported. One whose id is not new is
    not: it stands at ``annotations[1]``, not at ``annotation 7``.
    """
    singular = {"categories": "category"}.get(key, key.removesuffix("s"))
    seen: set[int] = set()
    for index, record in enumerate(attempt(report, field, content, key, list, str(path)) or ()):
        place = f"{path}: {key}[{index}]"
        id = attempt(report, _id, record, place)
        if id is None:
            continue
        if id in seen:
            text = f"{singular} id {id} occurs twice; give each its own."
            report(Problem(kind=Kind.REPEATED_ID, text=text, where=place))
            yield id, record, place
        else:
            seen.add(id)
            yield id, record, f"{path}: {singular} {id}"


def field(record: dict, key: str, kind: type[T], where: str) -> T:
    """The value of a key that must be there; ``True`` and ``False`` are no integers."""
    if key not in record:
        raise DataError(Kind.MISSING_KEY, f"has no {key!r}; add it.", where=where)
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        text = f"{key!r} is {shown(value)}; it must be {_NAMES[kind]}."
        raise DataError(Kind.WRONG_TYPE, text, where=where)
    if isinstance(value, int) and abs(value) >= LARGEST:
        text = f"{key!r} is {shown(value)}; it must be below 2^63."
        raise DataError(Kind.BAD_NUMBER, text, where=where)
    if isinstance(value, str) and not can_be_written(value):
        text = f"{key!r} is {shown(value)}; it must be Unicode text."
        raise DataError(Kind.BAD_TEXT, text, where=where)
    return value


def numbers(record: dict, key: str, where: str, *, count: int) -> tuple[float, ...]:
    """A list of finite numbers."""
    values = field(record, key, list, where)
    if len(values) != count or not all(map(_is_number, values)):
        text = f"{key!r} is {shown(values)}; it must be {count} finite numbers."
        raise DataError(Kind.WRONG_TYPE, text, where=where)
    if not all(map(_is_small, values)):
        text = f"{key!r} is {shown(values)}; it must be {count} finite numbers below 2^63."
        raise DataError(Kind.BAD_NUMBER, text, where=where)
    return tuple(map(float, values))


def number(record: dict, key: str, where: str) -> float:
    """A finite number, not negative."""
    if key not in record:
        raise DataError(Kind.MISSING_KEY, f"has no {key!r}; add it.", where=where)
    value = record[key]
    if not _is_number(value):
        text = f"{key!r} is {shown(value)}; it must be a number."
        raise DataError(Kind.WRONG_TYPE, text, where=where)
    if not _is_small(value) or value < 0:
        text = f"{key!r} is {shown(value)}; it must be a finite number, 0 or more."
        raise DataError(Kind.BAD_NUMBER, text, where=where)
    return float(value)


def known_id(record: dict, key: str, known: Ids, where: str) -> int:
    """The id of another record, which must exist."""
    value = field(record, key, int, where)
    if value not in known:
        text = f"{key!r} {value} does not exist; the nearest is {known.nearest(value)}."
        raise DataError(Kind.UNKNOWN_ID, text, where=where)
    return value


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    return _short.repr(value)


def _object(pairs: list[tuple[str, Any]]) -> dict:
    """Python would keep the last of two values of a key, and not tell."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        key = next(key for key in keys if keys.count(key) > 1)
        raise DataError(
            Kind.REPEATED_KEY,
            f"is not valid JSON: an object has the key {shown(key)} twice; remove one of them.",
        )
    return content


def _id(record: Any, where: str) -> int:
    if not isinstance(record, dict):
        raise DataError(Kind.WRONG_TYPE, f"is {shown(record)}, not an object.", where=where)
    return field(record, "id", int, where)


def can_be_written(text: str) -> bool:
    """Not so for halves of surrogate pairs; NUL cannot be in the name of a file."""
    return "\0" not in text and (
        text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool


def _is_small(value: float) -> bool:
    return abs(value) < LARGEST  # an integer of JSON may be too large for a float; NaN is not less
