"""Models against Detectron2 and MMDetection, in float64; all that there are: ``make parity``."""

import pytest

import configs
from tests.parity.comparison import table
from tests.parity.golden_comparison import check
from tests.parity.goldens import find_shapes, read_golden, read_shapes


def differences(folder, name, preset):
    path = folder / "golden" / f"{name}.npz"
    shapes = read_shapes(find_shapes(path))
    return check(read_golden(path), shapes, config=configs.load(preset).model)


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("detectron2_mask_rcnn_R_50_FPN_3x_a", "detectron2_r50_fpn_3x"),
        ("detectron2_mask_rcnn_R_50_FPN_3x_train", "detectron2_r50_fpn_3x"),
        ("mmdet_mask_rcnn_r50_fpn_1x", "mmdetection_r50_fpn_1x"),
        ("mmdet_ms_rcnn_r50_caffe_fpn_1x", "mmdetection_ms_rcnn_r50_caffe_fpn_1x"),
        ("mmdet_solov2_r50_fpn_1x", "mmdetection_solov2_r50_fpn_1x"),
        ("detectron2_pointrend_R_50_FPN_3x", "detectron2_point_rend_r50_fpn_3x"),
    ],
)
def test_numbers_are_those_of_the_other_system(shared, name, preset):
    found = differences(shared, name, preset)
    assert all(item.passes for item in found), f"\n{table(found)}"


def test_another_roi_align_is_seen_from_the_boxes_on(shared):
    found = differences(
        shared, "detectron2_mask_rcnn_R_50_FPN_noaug_1x", preset="detectron2_r50_fpn_3x"
    )
    failing = {item.quantity.partition(" in ")[0] for item in found if not item.passes}
    assert failing == {"boxes", "scores", "classes", "mask probabilities", "pasted masks"}
