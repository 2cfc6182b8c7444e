"""Slow tests run the scripts with the fixtures of the others."""

from tests.scripts.conftest import environment, fails, run, workdir

__all__ = ["environment", "fails", "run", "workdir"]
