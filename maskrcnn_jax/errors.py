"""Errors that a user caused and can mend: a script prints one line and exits with status 2.

What the user stopped (Ctrl-C) is one line, too, and status 130, as shells have it.
"""

import difflib
import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, ParamSpec

import jax

P = ParamSpec("P")


class InputError(ValueError):
    """What the user gave is wrong. The message names the file, the record and the mend."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'shapes'?"`` for a near miss, else all known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(known)}."


def check_options(options: Any, **wanted: tuple[bool, str]) -> None:
    """Raises InputError for the first option of a config that is not as ``wanted``.

    What is wanted of an option is whether it is so, and what it must be in words.
    """
    for name, (is_so, words) in wanted.items():
        if not is_so:
            value = getattr(options, name)
            raise InputError(f"{type(options).__name__}: {name} must be {words}, not {value!r}.")


def exits_on_input_error(main: Callable[P, None]) -> Callable[P, None]:
    """Decorates a script's ``main``: what the user can mend becomes one line and status 2.

    With ``--debug`` anywhere on the command line, from which it is taken here, the traceback comes
    before that line.
    """

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        shows_traceback = _take_from_command_line("--debug")
        try:
            main(*args, **kwargs)
        except SystemExit as error:  # 2 is of the parser of options, which has told why
            if shows_traceback and error.code == 2:
                traceback.print_exc()
            raise
        except (InputError, OSError) as error:  # an OSError names its file, too
            if shows_traceback:
                traceback.print_exc()
            print(f"error: {error}", file=sys.stderr)
            _leave(2)
        except KeyboardInterrupt:
            if shows_traceback:
                traceback.print_exc()
            print("\nstopped", file=sys.stderr)
            _leave(128 + signal.SIGINT)

    return wrapped


def _take_from_command_line(flag: str) -> bool:
    """Whether the flag is there; afterwards it is not."""
    is_there = flag in sys.argv[1:]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != flag]
    return is_there


def _leave(status: int) -> NoReturn:
    """Ends the program; one of many processes at once, for JAX would wait for the others to end.

    They wait for this one, and learn in this way that it is lost.
    """
    if jax.distributed.is_initialized() and jax.process_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
