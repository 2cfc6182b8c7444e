"""All recipes of docs/recipes.md that are options, at once, as a user gives them."""

import shutil

import jax
import numpy as np

from maskrcnn_jax.training.checkpoint import Checkpoints, load_trained
from tests.scripts.conftest import TINY, log_lines

RECIPES = (
    "--input.jitter.scales 0.1 2.0 --input.jitter.size 64 64 --input.crop.probability 0.5 "
    "--input.colour.brightness 0.4 --input.copy-paste.probability 1 --input.repeat-threshold 0.9 "
    "--input.num-workers 1 --optimizer.ema-decay 0.9 --optimizer.max-gradient-norm 1"
).split()


def test_a_run_with_all_recipes_resumes_exactly_and_is_evaluated_by_its_average(run, tmp_path):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    result = run("train.py", "shapes", "--workdir", straight, *TINY, *RECIPES)
    assert result.returncode == 0, result.stderr
    steps = sorted(int(path.name) for path in (straight / "checkpoints").iterdir())
    shutil.copytree(straight, resumed)
    shutil.rmtree(resumed / "checkpoints" / str(steps[-1]))
    result = run("train.py", "shapes", "--workdir", resumed, *TINY, *RECIPES)
    assert result.returncode == 0, result.stderr
    assert f"steps {steps[0]} to {steps[-1]}" in result.stdout
    assert log_lines(resumed) == log_lines(straight)

    (_, average), (_, other) = load_trained(straight), load_trained(resumed)
    jax.tree.map(np.testing.assert_array_equal, average, other)
    checkpoints = Checkpoints(straight)
    last = checkpoints.restore_parts({"params": average["params"]})["params"]
    checkpoints.close()
    same = jax.tree.map(lambda a, b: bool((a == b).all()), average["params"], last)
    assert not all(jax.tree.leaves(same))
