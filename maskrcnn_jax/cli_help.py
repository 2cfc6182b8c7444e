"""Help on one screen at a time. Scripts have more than a hundred options, which tyro tells at once.

``--help`` tells about the options of the script itself, and names those of each section with their
values; ``--help SECTION`` does the same for a section. ``--help all`` is tyro's.
"""

import dataclasses
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from maskrcnn_jax.errors import InputError, did_you_mean

_MOST_COLUMNS = 100
_MOST_ON_A_LINE = 6  # values of an option; between more, a line may be broken
_UNBROKEN = "\N{NO-BREAK SPACE}"  # where a line is not to be broken
_SPREAD = tyro.conf.arg(name="")  # of a field whose own fields take its place


@dataclass(frozen=True, kw_only=True)
class Option:
    value: Any
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """The options of a dataclass, and of the dataclasses in its fields. Names are as typed."""

    name: str  # with dots; "" is the whole script
    arguments: Any
    options: dict[str, Option] = field(default_factory=dict)
    sections: dict[str, "Section"] = field(default_factory=dict)

    def walk(self) -> Iterator["Section"]:
        """The section itself, and all that are in it."""
        yield self
        for section in self.sections.values():
            yield from section.walk()

    def num_options(self) -> int:
        """Also those of its sections."""
        return sum(len(section.options) for section in self.walk())


def sections_of(arguments: Any, name: str = "") -> Section:
    """What tyro makes of the (default) arguments of a script."""
    section = Section(name=name, arguments=arguments)
    for key, hint, value in _fields(arguments):
        path = f"{name}.{key}".strip(".")
        if dataclasses.is_dataclass(value):
            section.sections[key] = sections_of(value, path)
        elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
            for number, item in enumerate(value):
                section.sections[f"{key}.{number}"] = sections_of(item, f"{path}.{number}")
        elif not any(map(dataclasses.is_dataclass, get_args(hint))):  # a part that is not there
            section.options[key] = Option(value=value, choices=_choices(hint))
    return section


def find_section(section: Section, name: str) -> Section:
    """The section of this dotted name. Raises ``InputError`` that has the nearest."""
    found = {inner.name: inner for inner in section.walk() if inner.name and inner.num_options()}
    if name not in found:
        raise InputError(f"--help {name}: there is no such section.{did_you_mean(name, found)}")
    return found[name]


def completions(section: Section) -> Iterator[str]:
    """A line for each option: its name, and what it can be set to where that is a list."""
    yield " ".join(["--help", "all", *(inner.name for inner in section.walk() if inner.name)])
    yield "--debug"
    for inner in section.walk():
        prefix = f"--{inner.name}." if inner.name else "--"
        for key, option in inner.options.items():
            yield " ".join([prefix + key, *option.choices])


def tyro_options(section: Section) -> dict[str, Any]:
    """What makes ``tyro.cli`` tell about the options of a section, but not about its sections."""
    kind = type(section.arguments)
    named = Annotated[kind, tyro.conf.arg(name=section.name)]
    wrapper = dataclasses.make_dataclass(
        "Wrapper", [("section", named, field(default=section.arguments))]
    )
    told = list(_spread(section.arguments))  # of a type that is elsewhere too, these alone
    registry = tyro.constructors.ConstructorRegistry()

    @registry.struct_rule
    def without_fields(info: Any) -> tyro.constructors.StructConstructorSpec | None:
        is_told = info.type is wrapper or any(info.default is x for x in told)
        if not dataclasses.is_dataclass(info.type) or is_told:
            return None
        return tyro.constructors.StructConstructorSpec(lambda: info.default, fields=())

    return {"f": wrapper, "registry": registry}


def table(section: Section) -> str:
    """A paragraph for each section in this one: its options with their values, and sections."""
    inners = [inner for inner in section.sections.values() if inner.num_options()]
    indent = max((len(inner.name) for inner in inners), default=0) + 2
    paragraphs = (
        textwrap.fill(
            "  ".join(_entries(inner)),
            min(shutil.get_terminal_size().columns, _MOST_COLUMNS),
            initial_indent=inner.name.ljust(indent),
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
            break_long_words=False,
        )
        for inner in inners
    )
    return "\n".join(paragraphs).replace(_UNBROKEN, " ")


def _entries(section: Section) -> Iterator[str]:
    for key, option in section.options.items():
        yield f"{key}={_as_typed(option.value)}"
    for key, inner in section.sections.items():
        if number := inner.num_options():
            yield f"{key}.*({number})"


def _as_typed(value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    texts = (_as_typed(x) if isinstance(x, tuple) else str(x) for x in values)
    return (_UNBROKEN if len(values) <= _MOST_ON_A_LINE else " ").join(texts)


def _fields(arguments: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, annotation and value; positional arguments are left out."""
    hints = get_type_hints(type(arguments), include_extras=True)
    for name, value in vars(arguments).items():
        marks = getattr(hints[name], "__metadata__", ())
        hint = get_args(hints[name])[0] if marks else hints[name]
        if _SPREAD in marks:
            yield from _fields(value)
        elif tyro.conf.Positional not in marks:
            yield name.replace("_", "-"), hint, value


def _spread(arguments: Any) -> Iterator[Any]:
    """The arguments, and the dataclasses whose fields stand among theirs."""
    yield arguments
    hints = get_type_hints(type(arguments), include_extras=True)
    for name, value in vars(arguments).items():
        if _SPREAD in getattr(hints[name], "__metadata__", ()):
            yield from _spread(value)


def _choices(hint: Any) -> tuple[str, ...]:
    if hint is bool:
        return ("True", "False")
    if get_origin(hint) is Literal:
        return tuple(map(str, get_args(hint)))
    choices = tuple(choice for part in get_args(hint) for choice in _choices(part))
    return (*choices, "None") if choices and type(None) in get_args(hint) else choices
