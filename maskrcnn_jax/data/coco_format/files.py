"""Records put together from an annotation file and image files."""

import difflib
import zipfile

from maskrcnn_jax.data.annotations import AnnotationFile, read_annotations
from maskrcnn_jax.data.coco_format.layout import SplitFiles
from maskrcnn_jax.data.records import Dataset, Record
from maskrcnn_jax.data.scenes import read_pixels
from maskrcnn_jax.errors import InputError


def read_files(files: SplitFiles) -> Dataset:
    """Reads and checks the annotations at once, each image when its record is asked for."""
    content = read_annotations(files.annotation_file)
    return Dataset(
        name=files.name,
        split=files.split,
        categories=content.categories,
        images=content.images,
        records=FileRecords(files, content),
        dropped=content.dropped,
    )


class FileRecords:
    """Checks each image as it is read.

    ``InputError`` is raised for one that is missing, unreadable, or not of the annotated size.
    """

    def __init__(self, files: SplitFiles, content: AnnotationFile):
        self._files = files
        self._content = content

    def __len__(self) -> int:
        return len(self._content.images)

    def __getitem__(self, index: int) -> Record:
        images = self._content.images
        where = f"{self._files.annotation_file}: image {images.ids[index]}"
        record = Record(
            image_id=int(images.ids[index]),
            file_name=images.file_names[index],
            image=self._read_image(images.file_names[index], where),
            height=int(images.heights[index]),
            width=int(images.widths[index]),
            annotations=self._content.annotations[index],
        )
        try:
            read_pixels(record)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        return record

    def _read_image(self, file_name: str, where: str) -> bytes:
        for folder in self._files.image_folders:
            path = folder.joinpath(file_name)
            if path.is_file():
                try:
                    return path.read_bytes()
                except (OSError, zipfile.BadZipFile) as error:
                    raise InputError(f"{where}: {path} cannot be read: {error}.") from error
        raise InputError(f"{where}: {self._missing(file_name)}")

    def _missing(self, file_name: str) -> str:
        folders = self._files.image_folders
        names = {path.name.lower(): path.name for folder in folders for path in folder.iterdir()}
        close = difflib.get_close_matches(file_name.lower(), names, n=1)
        return (
            f"no file {file_name!r} in {', '.join(map(str, folders))}."
            + (f" Did you mean {names[close[0]]!r}?" if close else "")
            + " Add it, or remove the image and its annotations."
        )
