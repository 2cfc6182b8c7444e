import pickle

import pytest

from maskrcnn_jax.data.problems import DataError, Effect, Kind, Problem, attempt, raise_if_it_stops
from maskrcnn_jax.errors import InputError

STOPS = Problem(kind=Kind.NO_MASK, text="has none", where="a.json: annotation 1")
LEFT_OUT = Problem(kind=Kind.CROWD, text="is one", where="")


def fail():
    raise DataError(STOPS.kind, STOPS.text, where=STOPS.where)


def test_what_a_rule_raises_is_an_input_error_of_one_line():
    with pytest.raises(InputError, match=r"^a\.json: annotation 1: has none$"):
        fail()
    assert str(LEFT_OUT) == "is one"


def test_errors_come_whole_from_another_process():
    error = pickle.loads(pickle.dumps(DataError(STOPS.kind, STOPS.text, where=STOPS.where)))
    assert error.problem == STOPS
    assert str(error) == str(STOPS)


def test_an_attempt_reports_and_returns_nothing():
    found = []
    assert attempt(found.append, fail) is None
    assert found == [STOPS]
    assert attempt(found.append, "{}-{b}".format, 1, b=2) == "1-2"
    assert len(found) == 1


def test_only_what_stops_training_is_raised():
    raise_if_it_stops(LEFT_OUT)
    with pytest.raises(DataError) as error:
        attempt(raise_if_it_stops, fail)
    assert error.value.problem == STOPS


def test_kinds_are_told_apart_by_their_words():
    """An enum makes members of equal value one."""
    assert len({kind.what for kind in Kind}) == len(Kind.__members__)
    assert {kind.effect for kind in Kind} == set(Effect)
