"""Options with which no detector can be built are refused by name, when the config is made."""

import jax
import jax.numpy as jnp
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.norms import GroupNormConfig
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.mask import (
    BoundaryMaskHeadConfig,
    DynamicMaskHeadConfig,
    FCNMaskHeadConfig,
    PointRendMaskHeadConfig,
)
from maskrcnn_jax.roi.mask.point_heads import CoarseHeadConfig, PointHeadConfig
from maskrcnn_jax.roi.mask.point_rend import PointSamplingConfig, SubdivisionConfig
from maskrcnn_jax.roi.pooling import RoIAlignConfig, RoIPoolConfig
from maskrcnn_jax.roi.sampling import RoISamplingConfig
from maskrcnn_jax.roi.stages import RefinementConfig
from maskrcnn_jax.roi.suppression import GaussianSoftNMSConfig, LinearSoftNMSConfig, NMSConfig
from maskrcnn_jax.rpn.proposals import ProposalConfig
from maskrcnn_jax.rpn.targets import AnchorSamplingConfig
from maskrcnn_jax.serialization import from_json, to_json
from maskrcnn_jax.solo.detections import SOLODetectionConfig
from maskrcnn_jax.solo.grids import GRIDS
from maskrcnn_jax.solo.head import SOLOHeadConfig

PROPOSALS = {"before_nms": 10, "after_nms": 10}

# The last option of each is the wrong one.
WRONG = [
    *((kind, {"output_size": 0}) for kind in (RoIAlignConfig, RoIPoolConfig)),
    *(
        (kind, {"output_size": 7, "levels": levels})
        for kind in (RoIAlignConfig, RoIPoolConfig)
        for levels in ((), (2, 4), (2, 2, 3), (1, 2), (6, 7))
    ),
    (RoIAlignConfig, {"output_size": 7, "samples_per_cell": 0}),
    (BoundaryMaskHeadConfig, {"boundary_levels": (2, 4)}),
    (BoundaryMaskHeadConfig, {"num_boundary_convs": -1}),
    (FCNMaskHeadConfig, {"num_convs": -3}),
    (DynamicMaskHeadConfig, {"num_convs": -3}),
    (DynamicMaskHeadConfig, {"side": 0}),
    (PointRendMaskHeadConfig, {"level": 7}),
    (CoarseHeadConfig, {"side": 0}),
    (PointHeadConfig, {"num_layers": -1}),
    (SubdivisionConfig, {"steps": -1}),
    (SubdivisionConfig, {"num_points": 0}),
    (PointSamplingConfig, {"num_points": 0}),
    (PointSamplingConfig, {"oversampling": 0}),
    (PointSamplingConfig, {"importance": 1.5}),
    (RoISamplingConfig, {"num_samples": 0}),
    (RoISamplingConfig, {"positive_fraction": 2.0}),
    (RoISamplingConfig, {"positive_from": -0.1}),
    (DetectionConfig, {"max_detections": -1}),
    (ProposalConfig, PROPOSALS | {"iou_threshold": 1.5}),
    (ProposalConfig, {"after_nms": 10, "before_nms": 0}),
    (ProposalConfig, {"before_nms": 10, "after_nms": 0}),
    (AnchorSamplingConfig, {"num_samples": 0}),
    (AnchorSamplingConfig, {"positive_fraction": -1.0}),
    (AnchorSamplingConfig, {"positive_from": 1.5}),
    (AnchorSamplingConfig, {"positive_from": 0.2, "negative_below": 0.3}),
    (RefinementConfig, {"box_weights": (1.0, 1.0, 1.0, 1.0), "positive_from": 1.5}),
    (GroupNormConfig, {"groups": 0}),
    (NMSConfig, {"iou_threshold": -0.1}),
    (LinearSoftNMSConfig, {"iou_threshold": 1.1}),
    (GaussianSoftNMSConfig, {"sigma": 0.0}),
    (GaussianSoftNMSConfig, {"min_score": 2.0}),
    (SOLOHeadConfig, {"grids": GRIDS[:4]}),
    (SOLOHeadConfig, {"num_convs": 0}),
    (SOLODetectionConfig, {"max_candidates": 0}),
    (SOLODetectionConfig, {"max_detections": 0}),
]


@pytest.mark.parametrize(("kind", "options"), WRONG)
def test_a_wrong_option_is_named(kind, options):
    name = list(options)[-1]
    with pytest.raises(InputError, match=f"^{kind.__name__}: {name} must be .*, not "):
        kind(**options)


def test_in_a_file_its_place_is_told():
    given = to_json(MaskRCNNConfig(num_classes=2))
    given["roi"]["mask"]["pooling"]["output_size"] = 0
    place = "my.json: roi: mask: pooling: RoIAlignConfig: output_size must be at least 1, not 0"
    with pytest.raises(InputError, match=place):
        from_json(MaskRCNNConfig, given, where="my.json")


@pytest.mark.parametrize("levels", [(2,), (4, 3), (2, 3, 4, 5, 6)])
def test_levels_without_a_gap_are_taken_in_any_order(levels):
    assert RoIAlignConfig(output_size=7, levels=levels).levels == levels


def test_groups_that_do_not_divide_the_channels_are_refused():
    norm = GroupNormConfig(groups=32).build("norm")
    with pytest.raises(InputError, match="groups must be a divisor of 100, the channels, not 32"):
        jax.eval_shape(norm.init, jax.random.key(0), jnp.zeros((2, 3, 3, 100)))
