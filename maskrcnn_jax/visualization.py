"""Pictures of detections: translucent masks, contours, and a tag with name and score on each.

All images are uint8 RGB [h, w, 3]. Sizes of lines and letters follow the size of the image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from maskrcnn_jax.palette import identity_colours, instance_colours

# Smaller images are enlarged by the whole factor that brings their longer side near this.
_COMFORTABLE_SIDE = 512
_FILL_OPACITY = 0.42
_SHADOW_OPACITY = 0.45
_FONT = cv2.FONT_HERSHEY_DUPLEX
_INK, _WHITE = (20, 20, 20), (255, 255, 255)
_LUMA = np.array([0.299, 0.587, 0.114])  # BT.601


def draw_detections(
    image: np.ndarray,
    *,
    boxes: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    scores: np.ndarray | None = None,
    masks: Sequence[np.ndarray] | np.ndarray | None = None,
    identities: np.ndarray | None = None,
) -> np.ndarray:
    """A new picture of ``image`` with the detections drawn on it, the best score on top.

    ``boxes`` [n, 4] are XYXY in pixels of the image, ``labels`` [n] index ``names``. ``masks`` are
    n arrays bool [h, w]; without them the boxes are drawn. Without ``scores`` (ground truth) the
    tags show names only, and the first entry counts as the best. ``identities`` [n] of objects in a
    video give them their colours and stand in their tags. Images much smaller than 512 pixels come
    back enlarged, so that tags can be read.
    """
    factor = max(1, round(_COMFORTABLE_SIDE / max(image.shape[:2])))
    picture = _enlarged(image, factor)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4) * factor
    colours = (
        instance_colours(labels, num_classes=len(names))
        if identities is None
        else identity_colours(identities)
    )
    ranking = np.zeros(len(boxes)) if scores is None else -np.asarray(scores)
    best_first = np.argsort(ranking, kind="stable").tolist()
    if masks is None:
        _draw_boxes(picture, boxes, colours=colours, best_first=best_first)
    else:
        _draw_masks(picture, masks, colours=colours, best_first=best_first, factor=factor)
    texts = [str(names[label]) for label in labels]
    if scores is not None:
        texts = [f"{text} {score:.2f}" for text, score in zip(texts, scores, strict=True)]
    if identities is not None:
        numbers = [f"{identity} " if identity else "" for identity in identities]
        texts = [f"{number}{text}" for number, text in zip(numbers, texts, strict=True)]
    _draw_tags(picture, texts, boxes=boxes, colours=colours, best_first=best_first)
    return picture


def side_by_side(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Puts pictures in a row, each under its title, aligned at the top."""
    height = max(picture.shape[0] for picture in pictures.values())
    unit = _unit(next(iter(pictures.values())))
    gap = np.full((height + round(34 * unit), round(6 * unit), 3), 255, np.uint8)
    columns: list[np.ndarray] = []
    for title, picture in pictures.items():
        column = np.full((len(gap), picture.shape[1], 3), 255, np.uint8)
        column[len(gap) - height :][: len(picture)] = picture
        text = _Text.fitted(title, letters=15 * unit, max_width=picture.shape[1])
        left = (picture.shape[1] - text.width) // 2
        text.draw(column, left, (len(gap) - height + text.height) // 2, ink=_INK)
        columns += [column, gap]
    return np.concatenate(columns[:-1], axis=1)


def _enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return image.copy()
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def _unit(picture: np.ndarray) -> float:
    """One for a picture of 640x480."""
    return max(0.75, float(np.sqrt(picture.shape[0] * picture.shape[1])) / 554)


def _draw_boxes(
    picture: np.ndarray, boxes: np.ndarray, *, colours: np.ndarray, best_first: list[int]
) -> None:
    thickness = max(2, round(2 * _unit(picture)))
    corners = boxes.round().astype(int).tolist()
    for index in reversed(best_first):
        first, second = corners[index][:2], corners[index][2:]
        cv2.rectangle(picture, first, second, colours[index].tolist(), thickness, cv2.LINE_AA)


def _draw_masks(
    picture: np.ndarray,
    masks: Sequence[np.ndarray] | np.ndarray,
    *,
    colours: np.ndarray,
    best_first: list[int],
    factor: int,
) -> None:
    """Fills first, contours on top: a small object under a large one keeps its outline."""
    original = picture.copy()
    outlines = []
    for index in reversed(best_first):
        mask = _enlarged_mask(np.asarray(masks[index], np.uint8), factor)
        x, y, width, height = cv2.boundingRect(mask)
        if not width:
            continue
        rows, columns = slice(y, y + height), slice(x, x + width)
        tinted = _tinted(original[rows, columns], colours[index])
        np.copyto(picture[rows, columns], tinted, where=mask[rows, columns, None].astype(bool))
        found, _ = cv2.findContours(
            np.ascontiguousarray(mask[rows, columns]),
            cv2.RETR_CCOMP,
            cv2.CHAIN_APPROX_NONE,
            offset=(x, y),
        )
        outlines.append((found, colours[index].tolist()))
    thickness = max(1, round(1.7 * _unit(picture)))
    shadows = picture.copy()
    for contours, _ in outlines:
        cv2.drawContours(shadows, contours, -1, _INK, thickness + 2, cv2.LINE_AA)
    cv2.addWeighted(shadows, _SHADOW_OPACITY, picture, 1 - _SHADOW_OPACITY, 0, dst=picture)
    for contours, colour in outlines:
        cv2.drawContours(picture, contours, -1, colour, thickness, cv2.LINE_AA)


def _tinted(patch: np.ndarray, colour: np.ndarray) -> np.ndarray:
    levels = (1 - _FILL_OPACITY) * np.arange(256)[:, None] + _FILL_OPACITY * colour
    return cv2.LUT(patch, levels.round().astype(np.uint8)[None])


def _enlarged_mask(mask: np.ndarray, factor: int) -> np.ndarray:
    """Blurs the steps of the enlarged pixels away, so little that a single pixel survives."""
    if factor == 1:
        return mask
    steps = cv2.resize(255 * mask, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    return (cv2.GaussianBlur(steps, (0, 0), 0.4 * factor) >= 128).astype(np.uint8)


def _draw_tags(
    picture: np.ndarray,
    texts: Sequence[str],
    *,
    boxes: np.ndarray,
    colours: np.ndarray,
    best_first: list[int],
) -> None:
    """Places tags where they hide the fewest better ones, then draws them, the best last."""
    unit = _unit(picture)
    pad = max(2, round(3 * unit))
    placed: list[tuple[int, int, int, int]] = []
    drawings = []
    for index in best_first:
        letters = _letter_height(boxes[index], unit)
        text = _Text.fitted(texts[index], letters=letters, max_width=picture.shape[1] - 2 * pad)
        size = (text.width + 2 * pad, text.height + 2 * pad)
        spots = _spots(boxes[index], size=size, limits=picture.shape[:2])
        spot = min(spots, key=lambda spot: sum(_overlap(spot, other) for other in placed))
        placed.append(spot)
        drawings.append((spot, text, colours[index]))
    for (x1, y1, x2, y2), text, colour in reversed(drawings):
        cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), colour.tolist(), cv2.FILLED)
        is_dark = colour @ _LUMA < 125
        text.draw(picture, x1 + pad, y2 - pad, ink=_WHITE if is_dark else _INK)


def _letter_height(box: np.ndarray, unit: float) -> float:
    """Smaller tags for small objects, which often stand in crowds."""
    side = float(np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 0)))
    return unit * float(np.clip(side / (9 * unit), 8, 11))


@dataclass(frozen=True)
class _Text:
    """A line of text that is ready to be drawn; sizes in pixels, without descenders."""

    text: str
    scale: float
    stroke: int
    width: int
    height: int

    @classmethod
    def fitted(cls, text: str, *, letters: float, max_width: int) -> "_Text":
        """With capitals of height ``letters``, or smaller where that would be too wide."""
        stroke = max(1, round(letters / 20))
        (_, unscaled), _ = cv2.getTextSize("X", _FONT, 1.0, 1)
        (width, _), _ = cv2.getTextSize(text, _FONT, letters / unscaled, stroke)
        shrink = min(1.0, max_width / max(width, 1))
        scale = letters / unscaled * shrink
        (width, _), _ = cv2.getTextSize(text, _FONT, scale, stroke)
        return cls(text, scale, stroke, width, round(letters * shrink))

    def draw(
        self, picture: np.ndarray, left: int, bottom: int, *, ink: tuple[int, int, int]
    ) -> None:
        origin = (left, bottom)
        cv2.putText(picture, self.text, origin, _FONT, self.scale, ink, self.stroke, cv2.LINE_AA)


def _spots(
    box: np.ndarray, *, size: tuple[int, int], limits: tuple[int, int]
) -> list[tuple[int, int, int, int]]:
    """Places (XYXY) for a tag at ``box``, the preferred first, all inside the picture."""
    (width, height), (picture_height, picture_width) = size, limits
    x1, y1, x2, y2 = box.round().astype(int).tolist()
    corners = [(x1, y1 - height), (x1, y1), (x2 - width, y1 - height), (x2 - width, y1)]
    corners += [(x1, y2), (x1, y2 - height), (x2 - width, y2), (x2 - width, y2 - height)]
    corners.append(((x1 + x2 - width) // 2, (y1 + y2 - height) // 2))
    spots = []
    for x, y in corners:
        x = max(0, min(x, picture_width - width))
        y = max(0, min(y, picture_height - height))
        spots.append((x, y, x + width, y + height))
    return spots


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> int:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
