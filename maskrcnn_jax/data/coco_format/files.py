"""Records put together from an annotation file and image files."""

import functools
from pathlib import PurePosixPath

from maskrcnn_jax.data.annotations import AnnotationFile, read_annotations
from maskrcnn_jax.data.coco_format.layout import SplitFiles
from maskrcnn_jax.data.problems import READ_ERRORS, DataError, Kind
from maskrcnn_jax.data.records import Dataset, Record
from maskrcnn_jax.data.scenes import read_pixels


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
        federation=content.federation,
    )


class FileRecords:
    """Checks each image as it is read.

    ``DataError`` is raised for one that is missing, unreadable, or not of the annotated size.
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
        except DataError as error:
            raise DataError(error.problem.kind, str(error), where=where) from None
        return record

    def _read_image(self, file_name: str, where: str) -> bytes:
        for folder in self._files.image_folders:
            path = folder.joinpath(file_name)
            try:
                if path.is_file():
                    return path.read_bytes()
            except READ_ERRORS as error:
                text = f"{path} cannot be read: {error}."
                raise DataError(Kind.UNREADABLE_IMAGE, text, where=where) from error
        raise DataError(Kind.MISSING_IMAGE, self._missing(file_name), where=where)

    def _missing(self, file_name: str) -> str:
        folders = ", ".join(map(str, self._files.image_folders))
        near = self._names.get(_stem(file_name))
        suggestion = f" Did you mean {near!r}?" if near else ""
        mend = "Add it, or remove the image and its annotations."
        return f"no file {file_name!r} in {folders}.{suggestion} {mend}"

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        """The files that there are, by what is left without folder, case and kind."""
        folders = self._files.image_folders
        return {_stem(path.name): path.name for folder in folders for path in folder.iterdir()}


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name.replace("\\", "/")).stem.casefold()
