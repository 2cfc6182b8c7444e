"""Four processes do what one does; two do in every run of the tests."""

from tests.scripts.conftest import environment, run
from tests.scripts.test_distributed import alone, assert_as_one_does, cache

__all__ = ["alone", "cache", "environment", "run"]  # fixtures


def test_four_processes_do_what_one_does(alone, cache, tmp_path):
    assert_as_one_does(alone, cache, tmp_path, count=4)
