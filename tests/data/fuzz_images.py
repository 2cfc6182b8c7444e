"""Reads damaged image files. A program, so that a crash is seen as one.

python -m tests.data.fuzz_images FOLDER FIRST_SEED LAST_SEED
"""

import faulthandler
import random
import sys
from pathlib import Path

import cv2
import numpy as np

from maskrcnn_jax.data.images import decode_image, read_image
from maskrcnn_jax.errors import InputError
from tests.data.odd_images import cmyk_jpeg, exif, png, png_chunk, turned_jpeg

SIZE = (24, 32)


def sound_images() -> dict[str, bytes]:
    """An image of ``SIZE`` in each format; those with check sums are the PNGs."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    noise = np.random.default_rng(0).integers(0, 40, (*SIZE, 3))
    photo = (np.stack([6 * x, 8 * y, 3 * (x + y)], -1) + noise).astype(np.uint8)
    palette = png_chunk(b"PLTE", bytes(range(48)))
    jpeg = _encode(photo, ".jpg")
    return {
        "jpeg": jpeg,
        "jpeg grey": _encode(photo[..., 0], ".jpg"),
        "jpeg progressive": _encode(photo, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "jpeg restarts": _encode(photo, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        "jpeg turned": turned_jpeg(jpeg, 6),
        "jpeg cmyk": cmyk_jpeg((0, 90, 255, 200), blocks=(SIZE[0] // 8, SIZE[1] // 8)),
        "png": _encode(photo, ".png"),
        "png grey alpha": png(photo[..., :2], colour_type=4),
        "png alpha 16 bits": png(np.dstack([photo, y]) * 257, colour_type=6, bits=16),
        "png palette": png(
            x % 16, colour_type=3, bits=4, chunks=(palette, png_chunk(b"tRNS", b"\x50"))
        ),
        "png turned": png(photo, colour_type=2, chunks=(png_chunk(b"eXIf", exif(8)),)),
        "webp": _encode(photo, ".webp"),
        "bmp": _encode(photo, ".bmp"),
        "tiff": _encode(photo, ".tiff"),
        "gif": _encode(photo, ".gif"),
    }


def damage(encoded: bytes, rng: random.Random) -> bytes:
    """Cuts, overwrites, flips or repeats a part; never the same as before."""
    length = len(encoded)
    start, stop = sorted(rng.sample(range(length + 1), 2))
    match rng.randrange(7):
        case 0:
            return encoded[:start]
        case 1:
            return encoded[:start] + bytes(length - start)
        case 2:
            return encoded[:start] + encoded[stop:]
        case 3:
            return encoded[:stop] + encoded[start:]
        case 4:
            return encoded[:start] + rng.randbytes(min(stop - start, 8)) + encoded[start + 8 :]
        case _:
            places = range(length if rng.random() < 0.5 else min(length, 200))  # else the header
            flipped = bytearray(encoded)
            for place in rng.sample(places, rng.randrange(1, 4)):
                flipped[place] ^= 1 << rng.randrange(8)
            return bytes(flipped)


def try_seed(folder: Path, seed: int) -> bool:
    """Whether the damaged image of a seed can be read. What should not happen raises."""
    rng = random.Random(seed)
    name, sound = rng.choice(sorted(_SOUND.items()))
    damaged = damage(sound, rng)
    path = folder / f"damaged{rng.choice(('.jpg', '.png', '.tif', ''))}"
    path.write_bytes(damaged)
    upright = _attempt(lambda: read_image(path), path)
    assert upright is None or (upright.dtype == np.uint8 and upright.shape[2:] == (3,))
    image = _attempt(lambda: decode_image(damaged, name=str(path), size=SIZE), path)
    if image is None:
        return False
    assert image.dtype == np.uint8
    assert image.shape == (*SIZE, 3)
    whole = decode_image(sound, name=name, size=SIZE)
    if name.startswith("png") or sound.startswith(damaged):  # nothing can go missing unseen
        np.testing.assert_array_equal(image, whole)
    return True


def _attempt(read, path: Path) -> np.ndarray | None:
    try:
        return read()
    except InputError as error:
        if str(error).startswith(str(path)):
            return None
        raise


def _encode(pixels: np.ndarray, extension: str, *options: int) -> bytes:
    return cv2.imencode(extension, pixels, options)[1].tobytes()


_SOUND = sound_images()


def main() -> None:
    """Says which seed is tried before it is."""
    faulthandler.enable()
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    readable = 0
    for seed in range(first, last):
        print(seed, flush=True)
        readable += try_seed(folder, seed)
    print(f"readable {readable} of {last - first}")


if __name__ == "__main__":
    main()
