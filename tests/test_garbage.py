import gc

import pytest

from maskrcnn_jax.garbage import collector_paused


@collector_paused()
def fails():
    raise ValueError(gc.isenabled())


def test_the_collector_goes_on_whatever_happens():
    with pytest.raises(ValueError, match="False"):
        fails()
    assert gc.isenabled()


def test_a_collector_that_stands_still_is_left_alone():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
