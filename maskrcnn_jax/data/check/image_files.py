"""All image files of a split, each read once as training reads it."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import tqdm

from maskrcnn_jax.data.coco_format.files import FileRecords
from maskrcnn_jax.data.image_header import ImageHeader, read_header
from maskrcnn_jax.data.problems import Kind, Problem, Report, attempt

# Each holds one decoded image at a time.
_MOST_THREADS = 16
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def check_image_files(records: FileRecords, path: Path, report: Report) -> None:
    """Reports, in the order of the images, on each file; a progress bar is on a terminal's stderr.

    Damage to the pixels of a JPEG that leaves it decodable is not seen: JPEG has no check sums.
    """

    def problems_of(index: int) -> list[Problem]:
        found: list[Problem] = []
        _check_image_file(records, index, path, found.append)
        return found

    num_threads = min(os.cpu_count() or 1, _MOST_THREADS)
    with (
        ThreadPoolExecutor(num_threads) as threads,
        tqdm.tqdm(desc="Images", unit=" images", total=len(records), disable=None) as progress,
    ):
        for problems in threads.map(problems_of, range(len(records))):
            for problem in problems:
                report(problem)
            progress.update()


def _check_image_file(records: FileRecords, index: int, path: Path, report: Report) -> None:
    record = attempt(report, records.__getitem__, index)
    if record is None:
        return
    header = read_header(record.image)
    where = f"{path}: image {record.image_id}"
    suffix = PurePath(record.file_name).suffix
    said, found = _FORMATS.get(suffix.lower()), header and header.format
    if said != found and suffix:
        text = f"{record.file_name!r} is {found or 'no ' + str(said)}"
        report(Problem(kind=Kind.MISNAMED_IMAGE, text=text, where=where))
    for kind, text in _changes(header) if header else ():
        report(Problem(kind=kind, text=f"{record.file_name!r} {text}", where=where))


def _changes(header: ImageHeader) -> list[tuple[Kind, str]]:
    """What becomes of an image when it is read."""
    changes = {
        Kind.GREY_IMAGE: (header.colours == "grey", "is grey"),
        Kind.CMYK_IMAGE: (header.colours == "cmyk", "is CMYK"),
        Kind.TRANSPARENT_IMAGE: (header.has_alpha, "has an alpha channel"),
        Kind.DEEP_IMAGE: (header.bits > 8, f"has {header.bits} bits a channel"),
        Kind.ORIENTED_IMAGE: (
            header.orientation != 1,
            f"has EXIF orientation {header.orientation}",
        ),
    }
    return [(kind, text) for kind, (is_so, text) in changes.items() if is_so]
