"""Keeps TFDS from talking about what no user of this package needs to know."""

import contextlib
import io
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Silences what TFDS prints and logs, but for errors. Progress bars are on stderr and stay."""
    logger = logging.getLogger("absl")  # TFDS logs to Abseil's
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
