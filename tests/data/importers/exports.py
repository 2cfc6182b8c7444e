"""What annotation tools would export, in their own words."""

import base64
import json
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 40, 60


def photograph(seed: int = 0, *, suffix: str = ".png") -> bytes:
    """An encoded image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def write_photograph(path: Path, encoded: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photograph() if encoded is None else encoded)
    return path


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# ---- labelme -------------------------------------------------------------------------------------


def labelme_shape(kind: str, points: list, *, label: str | None = "cat", **other) -> dict:
    shape = {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
    return shape | other


def labelme_mask(mask: np.ndarray, left: int, top: int, **other) -> dict:
    corners = [[left, top], [left + mask.shape[1] - 1, top + mask.shape[0] - 1]]
    encoded = cv2.imencode(".png", mask.astype(np.uint8))[1].tobytes()
    return labelme_shape("mask", corners, mask=base64.b64encode(encoded).decode(), **other)


def write_labelme(folder: Path, name: str, shapes: list, **other) -> Path:
    """A JSON file, and an image beside it."""
    write_photograph(folder / f"{name}.png")
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{Path(name).name}.png",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    return write_json(folder / f"{name}.json", content | other)


# ---- VIA -----------------------------------------------------------------------------------------


def via_region(name: str, attributes: dict | None = None, **shape) -> dict:
    attributes = {"class": "cat"} if attributes is None else attributes
    return {"shape_attributes": {"name": name, **shape}, "region_attributes": attributes}


def write_via(folder: Path, images: dict[str, list], *, name: str = "via.json") -> Path:
    """A JSON file, and images beside it."""
    content = {}
    for file_name, regions in images.items():
        path = write_photograph(folder / file_name)
        size = path.stat().st_size
        content[f"{file_name}{size}"] = {
            "filename": file_name,
            "size": size,
            "regions": regions,
            "file_attributes": {},
        }
    return write_json(folder / name, content)


# ---- CVAT ----------------------------------------------------------------------------------------


def write_cvat(folder: Path, images: dict[str, str], *, labels=("cat", "dog"), head: str = ""):
    """An XML file, and images in a folder beside it; ``images`` holds the shapes of each as XML."""
    named = "".join(f"<label><name>{label}</name></label>" for label in labels)
    listed = "".join(
        f'<image id="{number}" name="{name}" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>'
        for number, (name, shapes) in enumerate(images.items())
    )
    for name in images:
        write_photograph(folder / "images" / name)
    path = folder / "annotations.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>{head}<annotations><version>1.1</version>'
        f"<meta><task><labels>{named}</labels></task></meta>{listed}</annotations>",
        encoding="utf-8",
    )
    return path


# ---- images of numbers ---------------------------------------------------------------------------


def write_ids(path: Path, ids: np.ndarray) -> Path:
    return write_photograph(path, cv2.imencode(".png", ids)[1].tobytes())


def write_cityscapes(
    root: Path, ids: np.ndarray, *, split: str = "val", city: str = "ulm", number: int = 0
) -> Path:
    stem = f"{city}_{number:06}_000019"
    write_photograph(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png")
    path = root / "gtFine" / split / city / f"{stem}_gtFine_instanceIds.png"
    return write_ids(path, ids.astype(np.uint16))
