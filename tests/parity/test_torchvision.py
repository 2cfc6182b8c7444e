"""Against what torchvision computed from the same weights, image and objects.

``make_torchvision_goldens`` made the goldens; ``make parity`` asks torchvision itself.
"""

from typing import Any

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import configs
from maskrcnn_jax.convert import torchvision
from tests.parity import ours
from tests.parity import torchvision_cases as cases
from tests.parity.comparison import table
from tests.parity.golden_comparison import compare_prediction
from tests.parity.goldens import batch_of, read_golden, read_shapes

CONFIG = configs.load("torchvision_r50_fpn").model


@pytest.fixture(scope="module")
def variables():
    return cases.seeded_variables(CONFIG)


def assert_within_bars(differences):
    assert all(item.passes for item in differences), "\n" + table(differences)


def test_every_stage_of_an_inference_is_torchvisions(variables):
    golden = read_golden(cases.DATA / "torchvision_inference.npz")
    found = ours.predict(variables, batch_of(golden), config=CONFIG)
    assert len(golden["det_scores"]) == 100
    assert_within_bars(compare_prediction(found, golden, config=CONFIG))


def test_losses_and_gradients_of_a_batch_are_torchvisions(variables):
    golden = dict(np.load(cases.DATA / "torchvision_train.npz"))
    inputs = cases.GOLDEN_TRAINING.inputs()
    assert cases.checksum(inputs) == golden["inputs_crc"]
    assert (golden["num_mask_rois"] > inputs["gt_valid"].sum(axis=1)).all()  # proposals, too
    assert_within_bars(
        cases.compare_step(
            variables,
            inputs,
            golden,
            config=CONFIG,
            num_proposals=cases.GOLDEN_TRAINING.num_proposals,
        )
    )


def test_exported_arrays_have_torchvisions_names_and_shapes(variables):
    flat: dict[tuple[str, ...], Any] = flatten_dict(variables)
    arrays = {"/".join(path[1:]): np.empty(x.shape, bool) for path, x in flat.items()}
    exported = torchvision.NAMING.to_theirs(arrays)
    assert {name: x.shape for name, x in exported.items()} == read_shapes(cases.SHAPES)
