"""The folders of checkpoints: which are finished, which are whole, and what is in the way.

``DIRECTORY/STEP`` is a finished checkpoint. ``STEP.orbax-checkpoint-tmp`` is one that is being
written, ``STEP.old`` one that is being removed, and ``STEP.damaged`` one that was put aside.
"""

import itertools
import shutil
from pathlib import Path

from maskrcnn_jax.training.checksums import find_damage
from maskrcnn_jax.training.distributed import say


def finished_steps(directory: Path) -> list[int]:
    """The steps of finished checkpoints, whole or damaged, in order."""
    if not directory.is_dir():
        return []
    return sorted(int(item.name) for item in directory.iterdir() if item.name.isdigit())


def newest_whole_step(directory: Path) -> int | None:
    """The newest step whose files are as they were written; says which newer ones are not."""
    for step in reversed(finished_steps(directory)):
        damage = find_damage(directory / str(step))
        if damage is None:
            return step
        say(f"warning: {directory / str(step)} is damaged ({damage}) and is not used")
    return None


def tidy(directory: Path, *, newest: int | None) -> None:
    """Puts aside what is newer than ``newest``, and removes what a killed run has left behind."""
    for pattern in ("*.orbax-checkpoint-tmp", "*.old"):
        for folder in directory.glob(pattern):
            shutil.rmtree(folder)
    for step in finished_steps(directory):
        if newest is None or step > newest:
            folder = directory / str(step)
            say(f"{folder} is kept as {_set_aside(folder).name}")


def remove_unfinished(folder: Path) -> None:
    """Removes what is there of a checkpoint that could not be written."""
    shutil.rmtree(folder.with_suffix(".orbax-checkpoint-tmp"), ignore_errors=True)


def remove_oldest(directory: Path, *, keep: int) -> None:
    """Removes all but the newest. Each is renamed first: no part of it is ever taken as whole."""
    for step in finished_steps(directory)[:-keep]:
        folder = directory / str(step)
        shutil.rmtree(folder.rename(folder.with_suffix(".old")))


def _set_aside(folder: Path) -> Path:
    """Renames a folder to a name that is free."""
    names = (folder.with_suffix(f".damaged{number or ''}") for number in itertools.count())
    return folder.rename(next(path for path in names if not path.exists()))
