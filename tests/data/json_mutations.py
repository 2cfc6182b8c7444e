"""Annotation files that something went wrong with, drawn from a seed."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from tests.data.coco_files import content

_DEEP: list = []
for _ in range(200):
    _DEEP = [_DEEP]
_INTEGERS = (
    0,
    1,
    -1,
    2,
    7,
    18,
    20,
    30,
    600,
    2**14,
    2**20,
    2**24,
    2**28,
    2**31,
    2**32,
    2**63,
    2**64,
)
_NUMBERS = (-0.0, 0.5, 1e-3, 1e-300, 19.99, 1e6, -1e9, 1e300, -1e300, 10**400, float("nan"))
_TEXTS = ("", "x", "7", "a\0b", "\ud800", "\n", "../a.png", "/dev/zero", "ä" * 300, "P" * 99, "e")
_VALUES: tuple[Any, ...] = (
    *(None, True, False, float("inf"), -float("inf"), *_INTEGERS, *_NUMBERS, *_TEXTS),
    *([], {}, [[]], [None], [1, 2], [1, 2, 3, 4], [[0, 0, 9, 0, 9, 9]], {"id": 7}, _DEEP),
    *([0] * 5000, {"size": [20, 30], "counts": [600]}, {"size": [20.0, 30.0], "counts": "0X2``0"}),
    [[0, 0, 1e9, 0, 1e9, 1e9]],
    [[v for i in range(3) for v in (2e7 * (i % 2), i)]],
    [[v for i in range(500) for v in (9e6 * (i % 2), i)]],
)


def mutated_file(seed: int, valid: Callable[[], Any] = content) -> bytes:
    """A valid file with one to three mutations: of its values, or else of its bytes."""
    rng = random.Random(seed)
    if rng.random() < 0.7:
        value = valid()
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            value = _mutate_value(value, rng)
        return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
    return mutated_bytes(json.dumps(valid(), ensure_ascii=False).encode(), rng)


def mutated_bytes(encoded: bytes, rng: random.Random) -> bytes:
    """One to three mutations of the bytes of a file."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        encoded = rng.choice(_MUTATIONS_OF_BYTES)(encoded, rng)
    return encoded


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) there is."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in list(items):
        found.append((value, key))
        if isinstance(item, (dict, list)) and item:
            found += _places(item)
    return found


def _mutate_value(value: Any, rng: random.Random) -> Any:
    places = _places(value)
    named = [place for place in places if isinstance(place[1], str)]
    if not named:
        return value
    container, key = rng.choice(named if rng.random() < 0.5 else places)
    item = container[key]
    if rng.random() < 0.6 and isinstance(item, (int, float, str)):
        container[key] = _alike(item, rng)
        return value
    match rng.randrange(8):
        case 0:
            del container[key]
        case 1 if isinstance(container, list):
            container.insert(rng.randrange(len(container) + 1), copy.deepcopy(item))
        case 2:
            other, other_key = rng.choice(places)
            container[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(item)
        case 3:
            container[key] = {int: str, str: list, float: int, bool: int}.get(type(item), repr)(
                item
            )
        case 4 if isinstance(key, str):
            container[rng.choice((key.upper(), key + " ", key[:-1]))] = container.pop(key)
        case 5:
            container[key] = [item]
        case _:
            container[key] = copy.deepcopy(rng.choice(_VALUES))
    return value


def _alike(item: Any, rng: random.Random) -> Any:
    """Another value of the same type, or another number."""
    if isinstance(item, str):
        place = rng.randrange(len(item) + 1)
        edited = item[:place] + chr(rng.randrange(48, 112)) + item[place + rng.randrange(2) :]
        return rng.choice((edited, edited, *rng.sample(_TEXTS, 1)))
    nudged = (-item, item + 0.5, item + 1, item * 2, item * 1000.0, item / 7)
    return rng.choice((*nudged, rng.choice(_INTEGERS), rng.choice(_NUMBERS)))


def _truncate(encoded: bytes, rng: random.Random) -> bytes:
    return encoded[: rng.randrange(len(encoded) + 1)]


def _flip_bits(encoded: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(encoded)
    for _ in range(rng.randrange(1, 4)):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _cut_or_repeat(encoded: bytes, rng: random.Random) -> bytes:
    start, stop = sorted(rng.randrange(len(encoded) + 1) for _ in range(2))
    stop = min(stop, start + 200)
    part = rng.choice((b"", 2 * encoded[start:stop], rng.randbytes(5)))
    return encoded[:start] + part + encoded[stop:]


def _encode_otherwise(encoded: bytes, rng: random.Random) -> bytes:
    text = encoded.decode(errors="replace")
    encoding = rng.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037", "utf-7"))
    return text.encode(encoding, errors="replace")


def _replace_a_number(encoded: bytes, rng: random.Random) -> bytes:
    new = rng.choice(
        (b"[" * 100_000, b"[" * 900 + b"]" * 900, b'{"a":' * 5000, b"9" * 5000, b"1e999", b"NaN")
    )
    places = [i for i, byte in enumerate(encoded) if chr(byte).isdigit()] or [0]
    place = rng.choice(places)
    return encoded[:place] + new + encoded[place + 1 :]


def _write_a_key_twice(encoded: bytes, rng: random.Random) -> bytes:
    key = rng.choice((b'"annotations": [', b'"images": [', b'"id": ', b'"bbox": ['))
    return encoded.replace(key, key + rng.choice((b"], " + key, b"7, " + key)), 1)


_MUTATIONS_OF_BYTES = (
    _truncate,
    _flip_bits,
    _flip_bits,
    _flip_bits,
    _cut_or_repeat,
    _cut_or_repeat,
    _encode_otherwise,
    _replace_a_number,
    _write_a_key_twice,
)
