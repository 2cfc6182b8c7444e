"""Checkpoints of a run, by orbax: state, position in the data, config and category names.

``WORKDIR/checkpoints/STEP`` holds everything that is needed to go on, to evaluate and to predict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.serialization import differences, from_json, to_json
from maskrcnn_jax.training.average import averaged_part
from maskrcnn_jax.training.state import TrainState, Tree, initial_variables, merge, split

# What a run cannot change once it has begun, and what of it does not touch training.
_FIXED = ("model", "data", "input", "optimizer.ema_decay", "run.seed")
_FREE = (
    *("data.root", "data.cache_dir", "input.num_workers", "input.num_threads"),
    *("input.eval_batch_size", "input.eval_short_side"),
    *("model.rpn.test_proposals", "model.roi.detections"),
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a checkpoint knows beside the arrays."""

    config: ExperimentConfig
    categories: tuple[Category, ...]
    position: int  # number of the next training batch


class Checkpoints:
    """The checkpoints of one work directory. Saving goes on in the background."""

    def __init__(self, workdir: Path, *, keep: int | None = None) -> None:
        self.directory = workdir.absolute() / "checkpoints"
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_names=("state", "run"),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep),
        )

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(self, state: TrainState, run: Run) -> None:
        """Writes a checkpoint named after the number of finished steps."""
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(_fields(state)), run=ocp.args.JsonSave(to_json(run))
        )
        self._manager.save(int(state.step), args=content)

    def restore_run(self) -> Run:
        """What the newest checkpoint says of its run."""
        folder = self.directory / str(self._manager.latest_step())
        items = self._restore(folder, run=ocp.args.JsonRestore())
        return from_json(Run, items["run"], where=str(folder / "run"))

    def restore_state(self, like: TrainState) -> TrainState:
        """The newest state, shaped and placed ``like`` the given one (arrays or their shapes)."""
        folder = self.directory / str(self._manager.latest_step())
        restore = ocp.args.StandardRestore(_fields(like))
        return TrainState(**self._restore(folder, state=restore)["state"])

    def restore_parts(self, like: dict[str, Tree]) -> dict[str, Tree]:
        """Some fields of the newest state, by name, shaped and placed ``like`` the given ones."""
        restore = ocp.args.PyTreeRestore(
            like,
            restore_args=ocp.checkpoint_utils.construct_restore_args(like),
            partial_restore=True,
        )
        folder = self.directory / str(self._manager.latest_step())
        return self._restore(folder, state=restore)["state"]

    def _restore(self, folder: Path, **items: Any) -> Any:
        try:
            return self._manager.restore(int(folder.name), args=ocp.args.Composite(**items))
        except (KeyError, ValueError, FileNotFoundError) as error:
            raise InputError(
                f"{folder}: not a checkpoint of this program and model, or damaged: {error}. "
                "Remove it to use the one before."
            ) from error

    def close(self) -> None:
        """Waits until everything is written."""
        self._manager.close()


def has_checkpoint(workdir: Path) -> bool:
    """Whether a run has written a finished checkpoint there."""
    folder = workdir / "checkpoints"
    return folder.is_dir() and any(item.name.isdigit() for item in folder.iterdir())


def load_trained(workdir: Path) -> tuple[Run, dict[str, Any]]:
    """The newest checkpoint's run, and the model's variables on the default device.

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
        if _is_part(option, _FIXED) and not _is_part(option, _FREE):
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
    """What a checkpoint holds of a state: the average only where there is one."""
    return {name: value for name, value in vars(state).items() if value is not None}


def _is_part(option: str, sections: Sequence[str]) -> bool:
    return any(option == section or option.startswith(f"{section}.") for section in sections)
