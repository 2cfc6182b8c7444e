"""The scripts on other numbers of devices."""

from tests.scripts.conftest import TINY


def test_a_run_on_two_devices_is_evaluated_on_one(run, tmp_path):
    result = run("train.py", "shapes", "--workdir", tmp_path, *TINY, devices=2)
    assert result.returncode == 0, result.stderr
    result = run("eval.py", "--workdir", tmp_path)
    assert result.returncode == 0, result.stderr
