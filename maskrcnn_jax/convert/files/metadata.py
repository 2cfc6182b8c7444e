"""Metadata of a file: texts by name, as JSON, in the containers that have a place for them."""

import json
from collections.abc import Mapping
from typing import Any

from maskrcnn_jax.convert.files.content_error import ContentError

METADATA = "__metadata__"
"""The name of the entry, which no tensor can have."""


def checked_metadata(metadata: Any) -> dict[str, str]:
    """Refuses anything but texts by name."""
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ContentError("has metadata that are not texts by name")
    return metadata


def parse_json(text: bytes, *, encoding: str) -> Any:
    """Reads JSON of the file, in which no name may occur twice."""
    try:
        return json.loads(text.decode(encoding), object_pairs_hook=_unique)
    except ValueError as error:  # broken JSON, or bytes that are no text
        raise ContentError(f"has a header that is not valid JSON: {error}") from error


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in items}) < len(items):
        raise ValueError("a name occurs twice")
    return dict(items)


def dump_json(value: Mapping[str, Any]) -> str:
    """Writes JSON in ASCII, without spaces."""
    return json.dumps(value, separators=(",", ":"))
