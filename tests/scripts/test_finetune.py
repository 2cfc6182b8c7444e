"""The preset that looks at data and weights first, from the command to the next one."""

import shutil

import pytest

from tests.data.coco_files import content, write_coco
from tests.scripts.conftest import log_lines


@pytest.fixture
def data(tmp_path):
    """Nothing is held out."""
    folder = tmp_path / "own"
    write_coco(folder, content(), split="train")
    return folder


def test_a_run_says_what_it_chose_and_is_continued_by_the_same_command(
    run, workdir, data, tmp_path
):
    weights = tmp_path / "weights"
    shutil.copytree(workdir, weights)
    folder = tmp_path / "run"
    command = (
        *("train.py", "finetune", "--workdir", folder, "--data.root", data),
        *("--init.checkpoint", weights, "--input.short-sides", 64, "--run.log-every", 1),
        *("--optimizer.schedule.epochs", 2, "--run.checkpoint-every", 1),
    )
    first = run(*command)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert str(data / "annotations/instances_train.json") in lines[0]
    assert "--model.num-classes 2 " in lines[2]
    assert "--init.new-classes True" in first.stdout
    assert "--run.checkpoint-every 1 " in first.stdout
    assert [line["step"] for line in log_lines(folder)] == [1, 2]
    assert f"evaluate: python eval.py --workdir {folder} --split train" in first.stdout
    shutil.rmtree(weights)  # a run that goes on has its own
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert "training is done (2 steps)" in again.stdout


def test_what_is_missing_is_one_message(fails, data, tmp_path):
    message = fails("train.py", "finetune", "--workdir", tmp_path / "run", "--data.root", data)
    assert "--init.checkpoint FILE" in message
    assert not (tmp_path / "run").exists()
