"""Checkpoints of a run, by orbax: state, position in the data, config and category names.

``WORKDIR/checkpoints/STEP`` holds everything that is needed to go on, to evaluate and to predict.
A folder gets that name when all is written, the checksums of its files last.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.serialization import differences, from_json, to_json
from maskrcnn_jax.training import checkpoint_folders
from maskrcnn_jax.training.average import averaged_part
from maskrcnn_jax.training.checkpoint_folders import finished_steps, newest_whole_step
from maskrcnn_jax.training.checksums import write_checksums
from maskrcnn_jax.training.distributed import is_first_process
from maskrcnn_jax.training.quiet_orbax import quiet_orbax
from maskrcnn_jax.training.state import TrainState, Tree, initial_variables, merge, split

# What a run cannot change once it has begun, and what of it does not touch training, or only its
# rounding.
_FIXED = ("model", "data", "input", "optimizer.ema_decay", "run.seed")
_FREE = (
    *("data.root", "data.cache_dir", "input.num_workers", "input.num_threads"),
    *("input.eval_batch_size", "input.eval_short_side"),
    *("model.rpn.test_proposals", "model.roi.detections", "model.detections"),
    *("model.roi.averaged", "model.roi.mask_stages", "model.roi.mask.subdivision"),
    *("model.precision", "model.backbone.remat"),
)
# In heads of several stages, whose later ones are trained on boxes that are refined with it.
_FIXED_IN_STAGES = ("model.roi.detections.limit_shrinking",)

_NONE = -1  # in place of a step

# What tensorstore puts behind an error of the operating system.
_OS_ERROR = " [os_error_code"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a checkpoint knows beside the arrays."""

    config: ExperimentConfig
    categories: tuple[Category, ...]
    position: int  # number of the next training batch
    # Sums of the metrics, and the number of steps, since the last line of the log.
    unlogged: tuple[tuple[str, float], ...] = ()


class _Handler(ocp.CompositeCheckpointHandler):
    def finalize(self, directory: Any) -> None:
        """Runs in the first process, when all have written and before the folder is renamed."""
        super().finalize(directory)
        write_checksums(Path(directory))


@ocp.args.register_with_handler(_Handler, for_save=True, for_restore=True)
class _Content(ocp.args.Composite):
    pass


class Checkpoints:
    """The checkpoints of one work directory. Saving goes on in the background.

    What is restored is the newest whole one, when this object was made; a damaged one is said.
    With several processes, all do the same.
    """

    def __init__(self, workdir: Path, *, keep: int | None = None) -> None:
        self.directory = workdir.absolute() / "checkpoints"
        self._keep = keep
        quiet_orbax()
        self._checkpointer = ocp.AsyncCheckpointer(_Handler())
        self._saving = self.directory
        self._restored_step = self._newest_whole_step()

    def latest_step(self) -> int | None:
        """The step that is restored."""
        return self._restored_step

    def tidy(self) -> None:
        """Clears the way for a run that goes on from here: removes what is unfinished, and puts
        aside what is damaged.
        """
        if is_first_process():
            checkpoint_folders.tidy(self.directory, newest=self._restored_step)

    def save(self, state: TrainState, run: Run) -> None:
        """Writes a checkpoint named after the number of finished steps.

        Returns when the arrays have been copied; they may then be changed or given up.
        """
        content = _Content(
            state=ocp.args.StandardSave(_fields(state)), run=ocp.args.JsonSave(to_json(run))
        )
        self.wait()
        self._saving = self.directory / str(int(state.step))
        with self._explained():
            self._checkpointer.save(self._saving, args=content)

    def check(self) -> None:
        """Raises InputError if what is being written in the background has failed."""
        with self._explained():
            self._checkpointer.check_for_errors()

    def wait(self) -> None:
        """Waits until everything is written, and removes what need not be kept any longer."""
        with self._explained():
            self._checkpointer.wait_until_finished()
        if self._keep is not None and is_first_process():
            checkpoint_folders.remove_oldest(self.directory, keep=self._keep)

    def close(self) -> None:
        """Waits as ``wait`` does; nothing can be saved afterwards."""
        self.wait()
        self._checkpointer.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Closes. After an error what is being written is finished, and the error goes on.

        Unless there are other processes, which an error here keeps from doing their part.
        """
        if kind is None:
            self.close()
        elif jax.process_count() == 1:
            with contextlib.suppress(InputError):
                self.wait()

    def restore_run(self) -> Run:
        """What the checkpoint says of its run."""
        items = self._restore(run=ocp.args.JsonRestore())
        where = str(self.directory / str(self._restored_step) / "run")
        return from_json(Run, items["run"], where=where)

    def restore_state(self, like: TrainState) -> TrainState:
        """The state, shaped and placed ``like`` the given one (arrays or their shapes)."""
        restore = ocp.args.StandardRestore(_fields(like))
        return dataclasses.replace(like, **self._restore(state=restore)["state"])

    def restore_parts(self, like: dict[str, Tree]) -> dict[str, Tree]:
        """Some fields of the state, by name, shaped and placed ``like`` the given ones."""
        restore = ocp.args.PyTreeRestore(
            like,
            restore_args=ocp.checkpoint_utils.construct_restore_args(like),
            partial_restore=True,
        )
        return self._restore(state=restore)["state"]

    def _restore(self, **items: Any) -> Any:
        folder = self.directory / str(self._restored_step)
        try:
            return self._checkpointer.restore(folder, args=_Content(**items))
        except (KeyError, ValueError, FileNotFoundError) as error:
            raise InputError(
                f"{folder}: not a checkpoint of this program and model, or damaged: {error}. "
                "Remove it to use the one before."
            ) from error

    def _newest_whole_step(self) -> int | None:
        """As the first process finds it, so that all go on from the same."""
        step = newest_whole_step(self.directory) if is_first_process() else None
        is_any = is_first_process() and has_checkpoint(self.directory.parent)
        step, is_any = multihost_utils.broadcast_one_to_all(
            (np.int32(_NONE if step is None else step), np.bool_(is_any))
        )
        if step == _NONE and is_any:
            raise InputError(
                f"{self.directory}: every checkpoint is damaged. Put back the files from a copy, "
                "or start again with another --workdir."
            )
        return None if step == _NONE else int(step)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what the operating system refuses into an error that says what to do."""
        try:
            yield
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) and _OS_ERROR not in str(error):
                raise
            if jax.process_count() == 1:  # others may still be writing there
                checkpoint_folders.remove_unfinished(self._saving)
            raise InputError(
                f"{self._saving}: the checkpoint cannot be written: {_reason(error)}. Checkpoints "
                "before it are whole; make room (or mend what is wrong with the folder) and run "
                "the same command again."
            ) from error


def _reason(error: Exception) -> str:
    """What the operating system said, without all the places that it came through."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition(_OS_ERROR)[0].rpartition(": ")[2]


def has_checkpoint(workdir: Path) -> bool:
    """Whether a run has written a finished checkpoint there."""
    return bool(finished_steps(workdir / "checkpoints"))


def load_trained(workdir: Path) -> tuple[Run, dict[str, Any]]:
    """The newest whole checkpoint's run, and the model's variables on the default device.

    Where the run keeps an average of its weights, the variables are that average.
    """
    if not has_checkpoint(workdir):
        raise InputError(
            f"{workdir} holds no checkpoints; train with --workdir {workdir} until one is written"
        )
    checkpoints = Checkpoints(workdir)
    run = checkpoints.restore_run()

    model, frozen_modules = run.config.model.build(), run.config.model.frozen_modules()
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    params, constants = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        jax.eval_shape(lambda: split(initial_variables(model, seed=0), frozen_modules)),
    )
    if run.config.optimizer.ema_decay is None:
        state = checkpoints.restore_parts({"params": params, "constants": constants})
    else:
        like = {"average": averaged_part(params, constants), "constants": constants}
        state = checkpoints.restore_parts(like)
        state["params"] = state["average"].pop("params")
        state["constants"] |= state["average"]
    checkpoints.close()
    return run, merge(state["params"], state["constants"])


def check_same_run(before: Run, now: Run, workdir: Path) -> Sequence[str]:
    """Refuses to continue a run with another model, other data or another seed.

    Returns one line for each option that changed and may change.
    """
    if before.categories != now.categories:
        raise InputError(
            f"{workdir} holds a run on other categories than {now.config.data.train_split} has; "
            "give another --workdir"
        )
    changed = differences(to_json(before.config), to_json(now.config))
    for option, old, new in changed:
        if _is_fixed(option, before.config.model):
            raise InputError(
                f"{workdir} holds a run with --{option} {old}, not {new}. "
                "Give another --workdir, or the option as it was."
            )
    return [
        f"--{option}: {old} before, {new} from here on"
        for option, old, new in changed
        if not _is_part(option, ("init",))  # plays no part any more
    ]


def _fields(state: TrainState) -> dict[str, Any]:
    """What a checkpoint holds of a state: the average only where there is one.

    Not ``finite``: a state is saved while it is.
    """
    fields = {name: value for name, value in vars(state).items() if name != "finite"}
    return {name: value for name, value in fields.items() if value is not None}


def _is_fixed(option: str, model: AnyDetectorConfig) -> bool:
    has_stages = isinstance(model, MaskRCNNConfig) and not isinstance(
        model.roi, StandardRoIHeadConfig
    )
    if has_stages and _is_part(option, _FIXED_IN_STAGES):
        return True
    unwrapped = option.replace("model.roi.mask.head.", "model.roi.mask.")  # of judged masks
    return _is_part(option, _FIXED) and not _is_part(unwrapped, _FREE)


def _is_part(option: str, sections: Sequence[str]) -> bool:
    return any(option == section or option.startswith(f"{section}.") for section in sections)
