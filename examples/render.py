"""Runs a script of cells and writes it as a page, with what each cell prints and draws.

python -m examples.render SCRIPT.py PAGE.md

A cell begins with ``# %%``, one of text with ``# %% [markdown]``. As in a notebook, a picture that
is the value of a cell's last line is shown: the page links to it.
"""

import ast
import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from examples.pictures import Picture
from maskrcnn_jax.errors import exits_on_input_error

_TEXT = "# %% [markdown]"
_CODE = "# %%"


class Cell(NamedTuple):
    """Source lines without the marker; those of text without their ``# ``, too."""

    is_text: bool
    source: str


def read_cells(path: Path) -> list[Cell]:
    """The cells of a script; what comes before the first marker is left out."""
    cells: list[Cell] = []
    marker, lines = None, []
    for line in [*path.read_text().splitlines(), _CODE]:
        if not line.startswith(_CODE):
            lines.append(line)
            continue
        if marker is not None:
            is_text = marker == _TEXT
            texts = [x.removeprefix("#").removeprefix(" ") if is_text else x for x in lines]
            cells.append(Cell(is_text, "\n".join(texts).strip("\n")))
        marker, lines = line.strip(), []
    return cells


def render(script: Path, page: Path) -> str:
    """The page, after running all cells in one namespace."""
    namespace = {"__name__": "__main__"}
    parts = []
    for cell in read_cells(script):
        if cell.is_text:
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            value = run_cell(cell.source, namespace, where=str(script))
        if printed := output.getvalue().rstrip():
            parts.append(f"```\n{printed}\n```")
        if isinstance(value, Picture):
            parts.append(f"![{value.path.stem}]({os.path.relpath(value.path, page.parent)})")
    return "\n\n".join(parts) + "\n"


def run_cell(source: str, namespace: dict[str, Any], *, where: str) -> Any:
    """Executes a cell; returns the value of its last line if that is an expression."""
    *body, last = ast.parse(source, where).body
    if not isinstance(last, ast.Expr):
        exec(compile(source, where, "exec"), namespace)
        return None
    exec(compile(ast.Module(body, type_ignores=[]), where, "exec"), namespace)
    return eval(compile(ast.Expression(last.value), where, "eval"), namespace)


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    script, page = map(Path, sys.argv[1:])
    page.write_text(render(script, page))


if __name__ == "__main__":
    main()
