"""Writes the API reference, from the docstrings: ``python docs/api.py FOLDER``, or ``make docs``.

pdoc renders what it imports. Added here: comments above or behind a field are its description, as
they are on the command line; types of arrays read as they are written; what Flax adds to a class is
left out; modules that a package does not name in ``__all__`` have their pages, too. A warning ends
the program.
"""

import ast
import inspect
import pkgutil
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import flax.linen as nn
from pdoc import doc, render

import maskrcnn_jax

# jaxtyping.Float[jaxlib._jax.Array, "n 4"], with or without the markup of a signature.
_QUALIFIED = re.compile(
    r'(<span class="n">)?\b(jaxtyping|jaxlib|_jax)\b(</span><span class="o">)?\.(</span>)?'
)

# Types that JAX and optax write down under names which exist only for type checkers.
_NOT_OURS = ("maskrcnn_jax.layers.Conv.bias_init", "maskrcnn_jax.training.state.TrainState")


def read_modules() -> dict[str, doc.Module]:
    """All modules of the package but for its commands, by their names."""
    for name in getattr(
        maskrcnn_jax, "__all__", ()
    ):  # of which some are imported only when asked for
        setattr(maskrcnn_jax, name, getattr(maskrcnn_jax, name))
    found = pkgutil.walk_packages(maskrcnn_jax.__path__, "maskrcnn_jax.")
    names = [x.name for x in found if not x.name.endswith(".__main__")]
    modules = {name: doc.Module.from_name(name) for name in ["maskrcnn_jax", *sorted(names)]}
    for name, module in modules.items():
        module.submodules = [
            other for path, other in modules.items() if path.rpartition(".")[0] == name
        ]
        for member in module.own_members:
            if isinstance(member, doc.Class):
                describe_members(member)
    return modules


def describe_members(cls: doc.Class) -> None:
    """Gives the fields of a class their comments, and hides what is there twice or not ours."""
    comments = dict(field_comments(textwrap.dedent(inspect.getsource(cls.obj))))
    hidden = (
        {"__init__"} if hasattr(cls.obj, "__dataclass_fields__") else set()
    )  # its fields say it
    if issubclass(cls.obj, nn.Module):
        hidden |= {"setup", "name", "parent", "scope"}
    if hasattr(cls.obj, "_flax_dataclass"):
        hidden |= {"replace"}
    for member in cls.own_members:
        if member.name in hidden:
            member.docstring = "@private"
        elif member.name == "__call__":
            member.docstring += " @public"
        elif isinstance(member, doc.Variable) and not member.docstring:
            member.docstring = comments.get(member.name, "")


def field_comments(source: str) -> Iterator[tuple[str, str]]:
    """Names of a class's annotated fields, and the comment above or behind each."""
    lines = source.splitlines()
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            first = end = node.lineno - 1
            while lines[first - 1].lstrip().startswith("#"):
                first -= 1
            _, _, behind = lines[node.end_lineno - 1].partition("  # ")  # type: ignore[operator]
            above = [line.strip(" #") for line in lines[first:end]]
            yield node.target.id, " ".join([*above, behind]).strip()


def write_page(module: doc.Module, modules: dict[str, doc.Module], folder: Path) -> Path:
    """Writes one page, which links to the others."""
    page = folder / f"{module.fullname.replace('.', '/')}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(_QUALIFIED.sub("", render.html_module(module, modules)))
    return page


def main() -> None:
    """Reads the command line."""
    if len(sys.argv) != 2:
        sys.exit("python docs/api.py FOLDER")
    folder = Path(sys.argv[1])
    warnings.simplefilter("error")
    for place in _NOT_OURS:
        message = rf"Error parsing type annotation .* for {re.escape(place)}"
        warnings.filterwarnings("ignore", message, UserWarning)
    render.configure(docformat="google", footer_text=f"maskrcnn-jax {maskrcnn_jax.__version__}")
    modules = read_modules()
    for module in modules.values():
        write_page(module, modules, folder)
    (folder / "index.html").write_text(render.html_index(modules))
    (folder / "search.js").write_text(render.search_index(modules))
    print(f"{len(modules)} pages: {folder / 'index.html'}")


if __name__ == "__main__":
    main()
