"""Every way to divide a batch of 8 images gives the same: 10 to 25 minutes on two cores."""

import itertools

import numpy as np
import pytest

from tests.training.invariance import Case, assert_close, outcomes

COUNTS = (1, 2, 4, 8)
TOLERANCES = {True: 1e-10, False: 1e-5}  # double and single precision


def group(name):
    """Cases that must agree; the first is a single program over the whole batch."""
    if name == "devices, float64":
        return [Case(devices=n, batch_norm=True) for n in COUNTS]
    if name == "devices, float32":
        return [Case(devices=n, batch_norm=True, x64=False) for n in COUNTS]
    if name == "divided state":
        return [
            Case(batch_norm=True),
            *(Case(devices=n, batch_norm=True, shard_state=True) for n in (2, 8)),
        ]
    parts = [(n, k) for n, k in itertools.product(COUNTS, (2, 4, 8)) if n * k <= 8]
    return [Case(), *(Case(devices=n, micro_batches=k, shard_state=n > 1) for n, k in parts)]


@pytest.mark.parametrize(
    "name", ["devices, float64", "devices, float32", "divided state", "micro-batches"]
)
def test_training_is_the_same(name):
    cases = group(name)
    found = outcomes(cases)
    for case, outcome in zip(cases[1:], found[1:], strict=True):
        worst = assert_close(
            outcome["numbers"], found[0]["numbers"], tolerance=TOLERANCES[case.x64]
        )
        print(f"{case}: {worst:.1e}, {outcome['temporary bytes'] / 2**20:.0f} MiB")
        if not case.shard_state:
            assert outcome["collectives"] == {"all-reduce"}
        if case.micro_batches == 8:
            assert outcome["temporary bytes"] < 0.25 * found[0]["temporary bytes"]
            assert outcome["reused bytes"] >= outcome["state bytes"][0]


def test_predictions_are_the_same():
    """To the last bit where as many images go through a device together."""
    sizes = [(n, size) for n, size in itertools.product(COUNTS, COUNTS) if size >= n]
    cases = [Case(predicts=True, x64=False, devices=n, batch_size=size) for n, size in sizes]
    found, together = outcomes(cases), {}
    for case, outcome in zip(cases, found, strict=True):
        assert outcome["collectives"] == set()
        numbers, first = outcome["numbers"], found[0]["numbers"]
        for name in ("valid", "labels"):
            np.testing.assert_array_equal(numbers[name], first[name])
        print(f"{case}: {assert_close(numbers, first, tolerance=1e-5):.1e}")
        same = together.setdefault(case.batch_size // case.devices, numbers)
        for name, values in numbers.items():
            np.testing.assert_array_equal(values, same[name])
