"""Which images a split gets, and which categories all splits have."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_jax.data.annotations import read_categories
from maskrcnn_jax.data.importers.annotated import AnnotatedImage
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError


def divide(
    images: Sequence[AnnotatedImage], share: float
) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    """Sets ``share`` of the images aside, rounded, at least one; both parts keep their order.

    Which ones depends on the names alone (their SHA-256, lowest first): always the same ones, and
    few change sides when images are added.
    """
    if not 0 < share < 1:
        raise InputError(f"--val-share is {share}; it must be above 0 and below 1.")
    if len(images) < 2:
        raise InputError("--val-share: there are fewer than 2 images to divide.")
    number = min(max(round(share * len(images)), 1), len(images) - 1)
    by_digest = sorted(images, key=lambda image: hashlib.sha256(image.name.encode()).digest())
    aside = {image.file_name for image in by_digest[:number]}
    return (
        [image for image in images if image.file_name not in aside],
        [image for image in images if image.file_name in aside],
    )


def agreed_categories(
    categories: Sequence[Category], others: Sequence[Path]
) -> tuple[Category, ...]:
    """The categories of the splits that are there, which must have all names in ``categories``.

    ``others`` are their annotation files. Where there are none, ``categories`` are it.
    """
    if not others:
        return tuple(categories)
    agreed = read_categories(others[0])
    new = sorted({item.name for item in categories} - {item.name for item in agreed})
    if new:
        raise InputError(
            f"{others[0]}: has no category {', '.join(map(repr, new))}, but all splits must have "
            "the same ones. Import a split with all of them first, or all at once with --val-share."
        )
    return agreed
