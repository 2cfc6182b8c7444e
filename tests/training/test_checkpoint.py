import dataclasses
import pathlib
import resource
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.convert import detectron2
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.datasets import ShapesConfig
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.roi.mask import MaskScoringConfig
from maskrcnn_jax.training import checksums
from maskrcnn_jax.training.checkpoint import Checkpoints, Run, check_same_run, load_trained
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig
from maskrcnn_jax.training.sharding import data_mesh, replicate
from maskrcnn_jax.training.state import create_state, merge
from tests import tiny

CONFIG = ExperimentConfig(
    model=tiny.tiny_config(),
    data=ShapesConfig(num_train=5),
    input=InputConfig(
        batch_size=2,
        eval_batch_size=2,
        short_sides=(64,),
        eval_short_side=64,
        long_side=96,
        padded_sizes=((64, 96), (96, 64)),
    ),
    optimizer=SGDConfig(schedule=ScheduleConfig(epochs=1.5, decay_at=(1.0, 1.25))),
)
RUN = Run(
    config=CONFIG,
    categories=(Category(id=1, name="circle"), Category(id=7, name="a star")),
    position=12345,
)


def random_state(seed, step, *, with_average=False):
    """A state in the middle of a run: every array holds something of its own."""
    optimizer = CONFIG.optimizer.build(lambda step: 0.0)
    state = create_state(
        tiny.tiny_variables(), optimizer, CONFIG.model.frozen_modules(), with_average=with_average
    )
    rng = np.random.default_rng(seed)

    def scramble(x):
        return jnp.asarray(rng.normal(size=x.shape)).astype(x.dtype)

    return dataclasses.replace(jax.tree.map(scramble, state), step=jnp.asarray(step))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A work directory with a checkpoint of step 3, and its state."""
    workdir, state = tmp_path_factory.mktemp("run"), random_state(0, step=3)
    checkpoints = Checkpoints(workdir)
    checkpoints.save(replicate(state, data_mesh()), RUN)
    checkpoints.close()
    return workdir, state


def test_a_state_comes_back_to_the_last_bit(saved):
    workdir, state = saved
    like = replicate(random_state(1, step=0), data_mesh())
    checkpoints = Checkpoints(workdir)
    restored = checkpoints.restore_state(like)
    checkpoints.close()
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for new, old, place in zip(*map(jax.tree.leaves, (restored, state, like)), strict=True):
        assert new.dtype == old.dtype
        assert new.sharding == place.sharding
        assert np.asarray(new).tobytes() == np.asarray(old).tobytes()


def test_the_run_comes_back_as_it_was(saved):
    checkpoints = Checkpoints(saved[0])
    assert checkpoints.latest_step() == 3
    assert checkpoints.restore_run() == RUN
    checkpoints.close()


def test_what_was_trained_can_be_used_without_knowing_its_config(saved):
    workdir, state = saved
    run, variables = load_trained(workdir)
    assert run == RUN
    jax.tree.map(np.testing.assert_array_equal, variables, state.variables())
    assert {len(x.devices()) for x in jax.tree.leaves(variables)} == {1}  # saved from two


def test_an_average_is_kept_and_used_in_place_of_the_last_weights(tmp_path):
    state = random_state(0, step=3, with_average=True)
    run = run_of(replaced(CONFIG, "optimizer.ema_decay", 0.99))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, run)
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore_state(random_state(1, step=0, with_average=True))
    checkpoints.close()
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)

    _, variables = load_trained(tmp_path)
    statistics = state.average["batch_stats"]
    expected = merge(state.average["params"], state.constants | {"batch_stats": statistics})
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    jax.tree.map(
        np.testing.assert_array_equal,
        variables["params"]["backbone"]["stem"],
        state.constants["params"]["backbone"]["stem"],
    )


def test_the_newest_checkpoints_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest_step() is None
    for step in (1, 2, 5):
        run = dataclasses.replace(RUN, position=step)
        checkpoints.save(random_state(step, step=step), run)
    checkpoints.close()
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"2", "5"}
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore_run().position == 5
    restored = checkpoints.restore_state(random_state(0, step=0))
    jax.tree.map(np.testing.assert_array_equal, restored, random_state(5, step=5))
    checkpoints.close()


def test_a_directory_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere holds no checkpoints; train"):
        load_trained(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match="holds no checkpoints"):
        load_trained(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.backbone.depth", 34, r"--model\.backbone\.depth 18, not 34"),
        ("model.roi.mask", None, r"--model\.roi\.mask"),
        ("data.num_train", 6, r"--data\.num_train 5, not 6"),
        ("input.batch_size", 4, r"--input\.batch_size 2, not 4"),
        ("optimizer.ema_decay", 0.99, r"--optimizer\.ema_decay None, not 0\.99"),
        ("run.seed", 1, r"--run\.seed 0, not 1"),
    ],
)
def test_another_model_other_data_or_another_seed_do_not_continue_a_run(
    path, value, message, tmp_path
):
    with pytest.raises(InputError, match=message) as error:
        check_same_run(run_of(CONFIG), run_of(replaced(CONFIG, path, value)), tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "another --workdir" in str(error.value)


def test_other_categories_do_not_continue_a_run(tmp_path):
    other = dataclasses.replace(run_of(CONFIG), categories=(Category(id=1, name="thing"),))
    with pytest.raises(InputError, match="other categories"):
        check_same_run(run_of(CONFIG), other, tmp_path)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    with pytest.raises(InputError, match="checkpoint"):
        load_trained(tmp_path)


@pytest.fixture
def two(saved, tmp_path):
    """A work directory with whole checkpoints of the steps 2 and 3, and the newer one's folder."""
    workdir = tmp_path / "run"
    shutil.copytree(saved[0], workdir)
    shutil.copytree(workdir / "checkpoints/3", workdir / "checkpoints/2")
    return workdir, workdir / "checkpoints/3"


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [pathlib.Path.unlink, truncate, flip])
def test_damage_to_any_file_is_found(spoil, two, capsys):
    _, folder = two
    orbax_only = {"_CHECKPOINT_METADATA", "commit_success.txt"}  # nothing of ours is in them
    for path in files_of(folder):
        if (path.name in orbax_only and path.parent == folder) or path.name == checksums.NAME:
            continue
        content = path.read_bytes()
        spoil(path)
        damage = checksums.find_damage(folder)
        assert damage is not None
        assert str(path.relative_to(folder)) in damage
        path.write_bytes(content)
        assert checksums.find_damage(folder) is None


def test_the_one_before_a_damaged_checkpoint_is_used(two, saved, capsys):
    workdir, folder = two
    largest = max(files_of(folder), key=lambda path: path.stat().st_size)
    flip(largest)
    run, variables = load_trained(workdir)
    said = capsys.readouterr().out
    assert f"{folder} is damaged ({largest.relative_to(folder)} has changed since" in said
    assert run == RUN
    jax.tree.map(np.testing.assert_array_equal, variables, saved[1].variables())
    assert folder.is_dir()  # who only reads leaves it alone

    (folder / "checksums.json").write_text("[")
    assert Checkpoints(workdir).latest_step() == 2
    (folder.parent / "2/run/metadata").unlink()
    with pytest.raises(InputError, match="every checkpoint is damaged"):
        Checkpoints(workdir)


def test_a_run_puts_a_damaged_checkpoint_aside_and_writes_it_again(two, capsys):
    workdir, folder = two
    (folder.parent / "4.orbax-checkpoint-tmp").mkdir()
    (folder.parent / "1.old").mkdir()
    for name in ("3.damaged", "3.damaged1"):
        flip(folder / "run/metadata")
        checkpoints = Checkpoints(workdir, keep=2)
        assert checkpoints.latest_step() == 2
        checkpoints.tidy()
        assert f"{folder} is kept as {name}" in capsys.readouterr().out
        checkpoints.save(random_state(0, step=3), RUN)
        checkpoints.close()
        assert checksums.find_damage(folder) is None
    names = {path.name for path in folder.parent.iterdir()}
    assert names == {"2", "3", "3.damaged", "3.damaged1"}


def test_a_copy_that_was_cut_off_is_damaged(two, capsys):
    workdir, folder = two
    (folder / "checksums.json").unlink()  # written last
    assert Checkpoints(workdir).latest_step() == 2
    assert f"{folder} is damaged (checksums.json is missing)" in capsys.readouterr().out


def test_an_error_lets_what_is_being_written_be_finished(tmp_path):
    def run():
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(random_state(0, step=3), RUN)
            raise InputError("a damaged image")

    with pytest.raises(InputError, match="a damaged image"):
        run()
    assert Checkpoints(tmp_path).latest_step() == 3


def save_and_wait_for_an_error(checkpoints, state):
    checkpoints.save(state, RUN)
    while True:  # it arises in another thread
        checkpoints.check()


def test_a_full_disk_is_told_and_leaves_the_older_checkpoint_whole(two):
    workdir, folder = two
    checkpoints = Checkpoints(workdir)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(InputError, match=r"checkpoints/9: .* cannot be written: File too la"):
            save_and_wait_for_an_error(checkpoints, random_state(1, step=9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name for path in folder.parent.iterdir()} == {"2", "3"}
    assert Checkpoints(workdir).latest_step() == 3
    checkpoints.save(random_state(1, step=9), RUN)
    checkpoints.close()
    assert Checkpoints(workdir).latest_step() == 9


def test_what_is_saved_is_the_state_at_that_time(tmp_path):
    """Whatever becomes of its memory, which the next step is given, while it is being written."""
    state = replicate(random_state(2, step=5), data_mesh())
    expected = jax.tree.map(np.array, state)
    scramble = jax.jit(lambda tree: jax.tree.map(jnp.zeros_like, tree), donate_argnums=0)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, RUN)
    jax.block_until_ready(scramble(state))
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore_state(random_state(1, step=0))
    jax.tree.map(np.testing.assert_array_equal, restored, expected)


def run_of(config):
    return Run(config=config, categories=(), position=0)


def replaced(config, path, value):
    name, _, rest = path.partition(".")
    if rest:
        value = replaced(getattr(config, name), rest, value)
    return dataclasses.replace(config, **{name: value})


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("optimizer.schedule.epochs", 3.0, "--optimizer.schedule.epochs: 1.5 before, 3.0 from"),
        ("run.log_every", 7, "--run.log_every: 20 before, 7 from"),
        ("input.eval_batch_size", 9, "--input.eval_batch_size: 2 before, 9 from"),
        ("input.num_workers", 3, "--input.num_workers: 0 before, 3 from"),
        ("model.roi.detections.max_detections", 5, "--model.roi.detections.max_detections: 10"),
        ("model.rpn.test_proposals.after_nms", 5, "--model.rpn.test_proposals.after_nms: 24"),
        ("model.roi.detections.limit_shrinking", True, "--model.roi.detections.limit_shrinking: F"),
    ],
)
def test_what_does_not_touch_the_training_so_far_may_change(path, value, line, tmp_path):
    [told] = check_same_run(run_of(CONFIG), run_of(replaced(CONFIG, path, value)), tmp_path)
    assert told.startswith(line)


@pytest.mark.parametrize("as_stages", [tiny.as_htc, partial(tiny.as_cascade, peer=detectron2)])
def test_later_stages_are_trained_on_boxes_that_must_be_refined_as_before(as_stages, tmp_path):
    before = dataclasses.replace(CONFIG, model=as_stages(CONFIG.model))
    after = replaced(before, "model.roi.detections.limit_shrinking", True)
    with pytest.raises(InputError, match="limit_shrinking False, not True"):
        check_same_run(run_of(before), run_of(after), tmp_path)


def test_judged_masks_may_be_subdivided_otherwise(tmp_path):
    mask = MaskScoringConfig(head=tiny.point_rend(), channels=8, hidden=16)
    before = replaced(CONFIG, "model.roi.mask", mask)
    after = replaced(before, "model.roi.mask.head.subdivision.steps", 3)
    [told] = check_same_run(run_of(before), run_of(after), tmp_path)
    assert "subdivision.steps" in told


def test_the_same_config_is_the_same_run(tmp_path):
    assert list(check_same_run(run_of(CONFIG), run_of(CONFIG), tmp_path)) == []
