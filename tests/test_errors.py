import sys

import pytest

from maskrcnn_jax.errors import InputError, did_you_mean, exits_on_input_error


@exits_on_input_error
def main(name: str, *, known: tuple[str, ...] = ("shapes", "penn_fudan")) -> None:
    """Takes a known name."""
    if name == "stop":
        raise KeyboardInterrupt
    if name == "crash":
        raise ValueError("a mistake of ours")
    if name not in known:
        raise InputError(f"no preset {name!r}.{did_you_mean(name, known)}")
    print(name)


def test_a_near_miss_is_named_and_else_all_there_is():
    assert did_you_mean("shape", ["penn_fudan", "shapes"]) == " Did you mean 'shapes'?"
    assert did_you_mean("xyz", ["penn_fudan", "coco"]) == " Known: coco, penn_fudan."
    assert did_you_mean("xyz", iter(["b", "a"])) == " Known: a, b."


def test_an_input_error_is_one_line_and_exit_status_2(capsys):
    with pytest.raises(SystemExit) as exit_:
        main("shape")
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: no preset 'shape'. Did you mean 'shapes'?\n")


def test_ctrl_c_is_one_line_and_its_exit_status(capsys, monkeypatch):
    for argv, is_shown in ((["main"], False), (["main", "--debug"], True)):
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as exit_:
            main("stop")
        assert exit_.value.code == 130
        error = capsys.readouterr().err
        assert error.endswith("\nstopped\n")
        assert ("Traceback" in error) == is_shown


def test_debug_shows_where_it_came_from(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main", "--debug", "shape"])
    with pytest.raises(SystemExit) as exit_:
        main("shape")
    assert exit_.value.code == 2
    assert sys.argv == ["main", "shape"]
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):")
    assert "raise InputError(" in shown
    assert shown.endswith("\nerror: no preset 'shape'. Did you mean 'shapes'?\n")


@pytest.mark.parametrize(("status", "is_shown"), [(2, True), (0, False), (1, False), (None, False)])
def test_debug_shows_why_options_are_refused(capsys, monkeypatch, status, is_shown):
    @exits_on_input_error
    def parse():
        try:
            raise InputError("less than 1")
        except InputError:
            sys.exit(status)

    for argv in (["main"], ["main", "--debug"]):
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as exit_:
            parse()
        assert exit_.value.code == status
    assert ("InputError: less than 1" in capsys.readouterr().err) == is_shown


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ValueError, match="a mistake of ours"):
        main("crash")


def test_arguments_and_documentation_pass_through(capsys):
    main("coco", known=("coco",))
    assert capsys.readouterr().out == "coco\n"
    assert (main.__name__, main.__doc__) == ("main", "Takes a known name.")
