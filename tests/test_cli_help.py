import contextlib
import dataclasses
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

import configs
import train
from maskrcnn_jax import cli
from maskrcnn_jax.cli_help import completions, sections_of
from maskrcnn_jax.errors import InputError

ONE_SCREEN = 50  # lines of 100 columns
# Together they have every kind of part.
PRESETS = (
    *("shapes", "faster_rcnn_r50_fpn_1x", "mask_scoring_rcnn_r50_fpn_1x", "solov2_r50_fpn_1x"),
    *("point_rend_r50_fpn_3x", "mmdetection_htc_r50_fpn_1x", "detectron2_cascade_r50_fpn_3x"),
    *("boundary_mask_rcnn_r50_fpn_1x", "dynamic_mask_rcnn_r50_fpn_1x"),
)


@pytest.fixture(autouse=True)
def _columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def arguments_of(preset):
    return train.Arguments(workdir=tyro.MISSING, config=configs.load(preset))


def told(arguments, *argv):
    """What is printed before the end of the program, with status 0."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as exit_:
        cli.parse(type(arguments), argv, prog="x", description="A lab note.", default=arguments)
    assert not exit_.value.code
    return out.getvalue()


SIDES = tuple(range(1000, 1020))


@dataclass(frozen=True, kw_only=True)
class Inner:
    """What is inside."""

    # How wide.
    width: int = 3
    kind: Literal["soft", "hard"] = "soft"


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = Inner()
    pairs: tuple[tuple[int, int], ...] = ((1, 2), (3, 4))
    is_on: bool = False
    sides: tuple[int, ...] = SIDES
    missing: Inner | None = None


@dataclass(frozen=True, kw_only=True)
class Spread:
    # How high.
    height: int = 4


@dataclass(frozen=True, kw_only=True)
class Small:
    places: tyro.conf.Positional[tuple[Path, ...]] = ()
    # Where it goes.
    out: Path
    choice: Literal["a"] | None = None
    section: Outer = Outer()
    steps: tuple[Inner, ...] = (Inner(), Inner(width=5))
    spread: Annotated[Spread, tyro.conf.arg(name="")] = Spread()
    again: Spread = Spread(height=7)


SMALL = Small(out=tyro.MISSING)


def test_the_first_screen_tells_about_the_script_and_names_the_rest():
    text = told(SMALL, "--help")
    assert "A lab note." in text
    assert "Where it goes. (required)" in text
    assert "How high. (default: 4)" in text
    assert "--again.height" not in text
    assert "How wide." not in text
    assert "section  pairs=1 2 3 4  is-on=False  sides=1000 1001" in text
    assert re.search(r"^steps\.1  +width=5  kind=soft$", text, re.MULTILINE)
    assert told(SMALL, "--out", "o", "-h") == text


def test_a_section_is_told_in_the_same_way():
    text = told(SMALL, "--help", "section")
    assert "--section.is-on {True,False}" in text
    assert "section.inner  width=3  kind=soft" in text
    assert "--section.inner.width" not in text
    assert "--out" not in text
    assert "How wide. (default: 3)" in told(SMALL, "--help", "section.inner")
    assert "How wide. (default: 5)" in told(SMALL, "--help", "steps.1")
    everything = told(SMALL, "--help", "all")
    assert "--section.inner.width" in everything
    assert "--steps.0.kind" in everything


@pytest.mark.parametrize("columns", range(60, 101, 4))
def test_no_number_is_cut_in_two(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    numbers = set(re.findall(r"\d+", told(SMALL, "--help")))
    assert set(map(str, SIDES)) <= numbers


def test_a_misspelt_section_names_the_nearest():
    with pytest.raises(InputError, match=r"sektion: .* no such section\. Did you mean 'section'\?"):
        told(SMALL, "--help", "sektion")


def test_names_and_choices_for_completion():
    assert list(completions(sections_of(SMALL))) == [
        "--help all section section.inner steps.0 steps.1 again",
        "--debug",
        "--out",
        "--choice a None",
        "--height",
        "--section.pairs",
        "--section.is-on True False",
        "--section.sides",
        "--section.inner.width",
        "--section.inner.kind soft hard",
        "--steps.0.width",
        "--steps.0.kind soft hard",
        "--steps.1.width",
        "--steps.1.kind soft hard",
        "--again.height",
    ]
    lines = told(SMALL, "--help", cli.NAMES).splitlines()
    assert lines == list(completions(sections_of(SMALL)))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_names_are_those_that_the_parser_takes(preset):
    arguments = arguments_of(preset)
    tyros = set(re.findall(r"^ *.? *(--[a-z]\S+)", told(arguments, "--help", "all"), re.MULTILINE))
    ours = {line.split()[0] for line in completions(sections_of(arguments))}
    assert ours - {"--help", "--debug"} == tyros


@pytest.mark.parametrize("preset", PRESETS)
def test_help_is_one_screen(preset):
    arguments = arguments_of(preset)
    description = configs.describe(preset).count("\n")
    assert told(arguments, "--help").count("\n") + description <= ONE_SCREEN


def test_help_about_a_section_is_little_more():
    arguments = arguments_of("shapes")
    for section in sections_of(arguments).walk():
        if section.name and section.num_options():
            lines = told(arguments, "--help", section.name).count("\n")
            assert lines <= (ONE_SCREEN if section.name != "input" else 65), section.name


def test_the_preset_comes_first(capsys):
    assert cli.preset_first(["a", "--b", "c"], usage="How.", presets=["a", "d"]) == (
        "a",
        ["--b", "c"],
    )
    for argv, status, text in (
        ([], 0, "How.\nPresets: a, d\n"),
        (["--help"], 0, "How.\nPresets: a, d\n"),
        (["--workdir", "x"], 2, "How.\nPresets: a, d\n"),
        (["--help", cli.NAMES], 0, "a\nd\n"),
    ):
        with pytest.raises(SystemExit) as exit_:
            cli.preset_first(argv, usage="How.", presets=["a", "d"])
        assert exit_.value.code == status
        assert capsys.readouterr().out == text


def test_usage_where_options_are_not_known_yet(capsys):
    usage = "x.py --workdir DIR [--split NAME]\nx.py --init.checkpoint FILE [--split NAME]"
    for argv, status, text in (
        ([], 2, usage),
        (["--help"], 0, usage),
        (["--help", cli.NAMES], 0, "--workdir\n--split\n--init.checkpoint"),
    ):
        with pytest.raises(SystemExit) as exit_:
            cli.tell_usage(argv, usage)
        assert exit_.value.code == status
        assert capsys.readouterr().out == f"{text}\n"


def test_the_default_is_not_touched():
    arguments = arguments_of("shapes")
    told(arguments, "--help", "model")
    assert dataclasses.replace(arguments) == arguments_of("shapes")
