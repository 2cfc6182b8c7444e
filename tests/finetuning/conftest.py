from tests.convert.conftest import small_run

__all__ = ["small_run"]
