"""Weights of a system into a model: everything finds its place, or the file is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_detector, load_weights
from maskrcnn_jax.convert.weights import (
    OURS,
    from_state_dict,
    from_variables,
    read_weights,
    write_weights,
)
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask import BoundaryMaskHeadConfig, FCNMaskHeadConfig
from maskrcnn_jax.training.checkpoint import Run
from tests.convert.models import (
    CASCADES,
    POINT_RENDS,
    SYSTEMS,
    canonical,
    random_variables,
    small_cascade,
    small_hybrid,
    small_model,
    small_point_rend,
    small_scoring,
    state_dict,
)

MODEL = small_model()
FROZEN = MODEL.backbone.norm


def fresh(model=MODEL):
    """Other values than any file's."""
    return random_variables(model, seed=99)


def load(tensors, model=MODEL, **init):
    weights = from_state_dict(tensors, where="some.pth")
    return load_weights(fresh(model), weights, backbone_norm=FROZEN, init=InitConfig(**init))


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_system_is_recognised_and_every_array_loaded(system):
    tensors = state_dict(system, MODEL)
    assert from_state_dict(tensors, where="some.pth").naming.system == system
    assert_equal(load(tensors), random_variables(MODEL))


def test_canonical_names_are_our_own():
    weights = from_state_dict(canonical(random_variables(MODEL)), where="some.npz")
    assert weights.naming is OURS
    assert_equal(load_weights(fresh(), weights, backbone_norm=FROZEN), random_variables(MODEL))


def test_weights_without_a_judge_of_masks_fill_all_else_of_a_model_with_one():
    """And those with one come whole."""
    model = small_scoring()
    loaded = canonical(
        load(state_dict("detectron2", MODEL), model, allow_missing=("roi/mask_head/iou/*",))
    )
    plain, untouched = canonical(random_variables(MODEL)), canonical(fresh(model))
    for name, x in loaded.items():
        np.testing.assert_array_equal(x, plain.get(name, untouched[name]), err_msg=name)
    assert_equal(load(state_dict("mmdetection", model), model), random_variables(model))


def test_outputs_for_the_background_are_added_where_the_model_has_them():
    model = small_model(background=True)
    loaded = canonical(load(state_dict("detectron2", MODEL), model))
    file, k = canonical(random_variables(MODEL)), MODEL.num_classes
    for name, outputs in (
        ("roi/box_head/deltas/kernel", 4 * k),
        ("roi/mask_head/predictor/bias", k),
    ):
        np.testing.assert_array_equal(loaded[name][..., :outputs], file[name])
        assert loaded[name].shape[-1] == outputs * (k + 1) // k
        assert not loaded[name][..., outputs:].any()


def test_outputs_for_the_background_are_dropped_where_the_model_has_none():
    with_background = small_model(background=True)
    loaded = canonical(load(state_dict("torchvision", with_background)))
    file = canonical(random_variables(with_background))
    for name in ("roi/box_head/deltas/kernel", "roi/mask_head/predictor/bias"):
        np.testing.assert_array_equal(loaded[name], file[name][..., : loaded[name].shape[-1]])


def test_each_head_may_have_its_own_background():
    config = small_model(background=True)
    mask = dataclasses.replace(config.roi.mask, background_mask=False)
    config = dataclasses.replace(config, roi=dataclasses.replace(config.roi, mask=mask))
    weights = from_state_dict(canonical(random_variables(config)), where="some.npz")
    assert_equal(
        load_weights(fresh(config), weights, backbone_norm=FROZEN), random_variables(config)
    )


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32(dtype):
    tensors = {name: x.astype(dtype) for name, x in state_dict("detectron2", MODEL).items()}
    variables = load(tensors)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    expected = jax.tree.map(lambda x: x.astype(dtype).astype(np.float32), random_variables(MODEL))
    assert_equal(variables, expected)


def test_under_x64_they_become_float64(x64):
    tensors = {
        name: x.astype(np.float64) / 3 for name, x in state_dict("detectron2", MODEL).items()
    }
    variables = load(tensors)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float64)}


def without(tensors, name):
    return {other: x for other, x in tensors.items() if other != name}


def test_a_missing_tensor_is_named_as_the_file_would():
    name = "roi_heads.box_head.fc1.bias"
    tensors = without(state_dict("detectron2", MODEL), name)
    with pytest.raises(
        InputError,
        match=r"(?s)some\.pth \(detectron2\).*Missing.*\n  roi_heads\.box_head\.fc1\.bias$",
    ):
        load(tensors)
    variables = load(tensors, allow_missing=(name,))
    np.testing.assert_array_equal(
        canonical(variables)["roi/box_head/fc1/bias"], canonical(fresh())["roi/box_head/fc1/bias"]
    )


def test_a_tensor_without_a_place_is_named():
    tensors = state_dict("detectron2", MODEL) | {"roi_heads.extra.weight": np.ones(3, np.float32)}
    with pytest.raises(InputError, match=r"(?s)Without a place.*\n  roi_heads\.extra\.weight$"):
        load(tensors)
    assert_equal(load(tensors, allow_unused=("roi_heads.ex*",)), random_variables(MODEL))


def test_permission_for_one_name_is_none_for_another():
    tensors = state_dict("detectron2", MODEL)
    tensors = without(without(tensors, "backbone.fpn_output2.bias"), "backbone.fpn_output3.bias")
    with pytest.raises(InputError, match=r"fpn_output3\.bias") as error:
        load(tensors, allow_missing=("backbone.fpn_output2.bias",))
    assert "fpn_output2" not in str(error.value)


def test_both_shapes_are_shown_and_the_mend():
    model = dataclasses.replace(MODEL, num_classes=5)
    with pytest.raises(
        InputError, match=r"cls_score\.weight: \[6, 32\] in the file.* the model has \[32, 4\]"
    ) as error:
        load(state_dict("detectron2", model))
    assert "--model.num-classes 5" in str(error.value)
    assert "--init.new-classes True" in str(error.value)


def test_names_and_shapes_are_told_together():
    tensors = state_dict("detectron2", dataclasses.replace(MODEL, num_classes=5))
    tensors = without(tensors, "backbone.fpn_output2.bias") | {"extra.weight": np.ones(2)}
    with pytest.raises(InputError) as error:
        load(tensors)
    for text in ("Missing", "Without a place", "Other shapes"):
        assert text in str(error.value)


def test_names_in_errors_are_those_of_the_file():
    """Also where the file has names of an older version."""
    tensors = state_dict("torchvision", MODEL)
    tensors["roi_heads.mask_head.mask_fcn1.weight"] = tensors.pop("roi_heads.mask_head.0.0.weight")
    tensors["roi_heads.mask_head.mask_fcn1.bias"] = np.ones(3, np.float32)
    del tensors["roi_heads.mask_head.0.0.bias"]
    with pytest.raises(
        InputError, match=r"roi_heads\.mask_head\.mask_fcn1\.bias: \[3\] in the file"
    ):
        load(tensors)


def test_integers_are_refused():
    tensors = state_dict("mmdetection", MODEL)
    tensors["rpn_head.rpn_cls.bias"] = np.arange(3)
    with pytest.raises(InputError, match=r"rpn_cls\.bias: numbers of type int64"):
        load(tensors)


@pytest.mark.parametrize("system", SYSTEMS)
def test_heads_for_other_classes_start_anew_on_request(system):
    other = dataclasses.replace(MODEL, num_classes=7)
    loaded = canonical(load(state_dict(system, other), new_classes=True))
    file, before = canonical(random_variables(other)), canonical(fresh())
    for name, x in loaded.items():
        is_new = name.split("/")[-2] in ("classes", "predictor") or "box_head/deltas" in name
        np.testing.assert_array_equal(x, (before if is_new else file)[name], err_msg=name)


def with_boundary() -> MaskRCNNConfig:
    fcn = MODEL.roi.mask
    assert isinstance(fcn, FCNMaskHeadConfig)
    roi = dataclasses.replace(MODEL.roi, mask=BoundaryMaskHeadConfig(fcn=fcn))
    return dataclasses.replace(MODEL, roi=roi)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_mask_rcnn_is_a_beginning_for_a_boundary_head(system):
    model, file = with_boundary(), canonical(random_variables(MODEL))
    loaded = load(state_dict(system, MODEL), model, allow_missing=("roi/mask_head/*",))
    before = canonical(fresh(model))
    for name, x in canonical(loaded).items():
        np.testing.assert_array_equal(x, file.get(name, before[name]), err_msg=name)


def test_the_outputs_of_a_boundary_head_start_anew_for_other_classes():
    model = with_boundary()
    file = canonical(random_variables(dataclasses.replace(model, num_classes=7)))
    loaded, before = canonical(load(file, model, new_classes=True)), canonical(fresh(model))
    for name, x in loaded.items():
        is_new = name.split("/")[-2] in ("classes", "predictor") or "box_head/deltas" in name
        np.testing.assert_array_equal(x, (before if is_new else file)[name], err_msg=name)


@pytest.mark.parametrize(
    ("system", "model"),
    [*((system, small_cascade(system)) for system in CASCADES), ("mmdetection", small_hybrid())],
)
def test_a_cascade_is_loaded_and_starts_anew_for_other_classes(system, model):
    assert_equal(load(state_dict(system, model), model), random_variables(model))
    other = dataclasses.replace(model, num_classes=7)
    loaded = canonical(load(state_dict(system, other), model, new_classes=True))
    file, before = canonical(random_variables(other)), canonical(fresh(model))
    for name, x in loaded.items():
        is_new = name.split("/")[-2] in ("classes", "predictor")  # deltas serve all classes
        np.testing.assert_array_equal(x, (before if is_new else file)[name], err_msg=name)
    with pytest.raises(InputError, match=r"--model\.num-classes 7"):
        load(state_dict(system, other), model)


@pytest.mark.parametrize("system", POINT_RENDS)
def test_point_rend_is_loaded_and_its_point_head_starts_anew_for_other_classes(system):
    model = small_point_rend()
    assert_equal(load(state_dict(system, model), model), random_variables(model))
    other = dataclasses.replace(model, num_classes=7)
    loaded = canonical(load(state_dict(system, other), model, new_classes=True))
    file, before = canonical(random_variables(other)), canonical(fresh(model))
    new = ("roi/box_head/classes", "roi/box_head/deltas", "roi/mask_head/coarse/predictor")
    for name, x in loaded.items():
        is_new = name.startswith((*new, "roi/mask_head/point/"))
        np.testing.assert_array_equal(x, (before if is_new else file)[name], err_msg=name)


def test_names_of_no_system_are_refused():
    with pytest.raises(InputError, match=r"some\.pth: the names \(weight.*detectron2"):
        from_state_dict({"layer.weight": np.ones(3)}, where="some.pth")


def test_a_backbone_leaves_the_rest_as_it_is_and_is_no_detector():
    tensors = {
        name.removeprefix("backbone.bottom_up."): x
        for name, x in state_dict("detectron2", MODEL).items()
        if "bottom_up" in name
    }
    tensors["stem.fc.weight"] = np.ones((10, 4), np.float32)
    loaded = canonical(load(tensors))
    file, before = canonical(random_variables(MODEL)), canonical(fresh())
    for name, x in loaded.items():
        expected = file if name.startswith("backbone/") else before
        np.testing.assert_array_equal(x, expected[name], err_msg=name)
    weights = from_state_dict(tensors, where="R-50.pkl")
    with pytest.raises(InputError, match=r"R-50\.pkl .* holds no detector"):
        load_detector(weights, MODEL)


def test_unused_counters_of_batches_are_ignored():
    tensors = state_dict("mmdetection", MODEL)
    tensors["backbone.bn1.num_batches_tracked"] = np.array(7)
    assert_equal(load(tensors), random_variables(MODEL))


def test_a_prefix_of_all_names_is_passed_over():
    tensors = {f"model.{name}": x for name, x in state_dict("detectron2", MODEL).items()}
    assert_equal(load(tensors), random_variables(MODEL))


def test_class_agnostic_heads_serve_other_classes_too():
    one = small_model(class_agnostic=True)
    other = dataclasses.replace(one, num_classes=7)
    loaded = canonical(load(state_dict("detectron2", other), one, new_classes=True))
    file = canonical(random_variables(other))
    np.testing.assert_array_equal(
        loaded["roi/box_head/deltas/kernel"], file["roi/box_head/deltas/kernel"]
    )


def test_random_heads_are_not_for_predicting():
    weights = from_state_dict(state_dict("detectron2", MODEL), where="some.pkl")
    with pytest.raises(InputError, match="for training only"):
        load_detector(weights, MODEL, init=InitConfig(new_classes=True))


def test_the_backbone_of_a_detector_alone():
    weights = from_state_dict(state_dict("mmdetection", MODEL), where="some.pth").backbone_alone()
    loaded = canonical(load_weights(fresh(), weights, backbone_norm=FROZEN))
    file, before = canonical(random_variables(MODEL)), canonical(fresh())
    for name, x in loaded.items():
        expected = file if name.startswith("backbone/") else before
        np.testing.assert_array_equal(x, expected[name], err_msg=name)


CAFFE2 = {
    "stem/conv/kernel": "conv1_w",
    "stem/norm": "res_conv1_bn",
    "res2/block1/conv1/kernel": "res2_1_branch2a_w",
    "res3/block0/conv2/kernel": "res3_0_branch2b_w",
    "res3/block0/norm2": "res3_0_branch2b_bn",
    "res3/block0/shortcut/kernel": "res3_0_branch1_w",
    "res3/block0/shortcut_norm": "res3_0_branch1_bn",
}


def caffe2_names(backbone, *, leaves):
    """A backbone as Caffe2 names it; ``leaves`` are those of its norms."""
    parts = {"conv1": "branch2a", "conv2": "branch2b", "shortcut": "branch1"}
    parts |= {"norm1": "branch2a_bn", "norm2": "branch2b_bn", "shortcut_norm": "branch1_bn"}
    tensors = {}
    for name, x in backbone.items():
        *module, leaf = name.split("/")[1:]
        if leaf == "kernel":
            x, end = x.transpose(3, 2, 0, 1), "_w"
        elif leaf in leaves:
            end = f"_{leaves[leaf]}"
        else:
            continue
        if module[0] == "stem":
            tensors[("conv1" if leaf == "kernel" else "res_conv1_bn") + end] = x
        else:
            stage, block, part = module
            tensors[f"{stage}_{block.removeprefix('block')}_{parts[part]}{end}"] = x
    return tensors


WITH_STATISTICS = {"scale": "gamma", "bias": "beta", "mean": "running_mean", "var": "running_var"}


@pytest.mark.parametrize("leaves", [WITH_STATISTICS, {"scale": "s", "bias": "b"}], ids=["4", "2"])
def test_backbones_in_caffe2s_names(leaves):
    file = canonical(random_variables(MODEL))
    backbone = {name: x for name, x in file.items() if name.startswith("backbone/")}
    tensors = caffe2_names(backbone, leaves=leaves)
    for ours, theirs in CAFFE2.items():
        suffix = "" if ours.endswith("kernel") else f"_{leaves['bias']}"
        assert theirs + suffix in tensors, ours
    tensors |= {"conv1_b": np.ones(3), "fc1000_w": np.ones((2, 2)), "conv1_w_momentum": np.ones(3)}
    loaded = canonical(load(tensors))
    for name, x in loaded.items():
        leaf = name.rpartition("/")[2]
        if name.startswith("backbone/") and leaf in ("kernel", *leaves):
            np.testing.assert_array_equal(x, file[name], err_msg=name)
        elif name.startswith("backbone/"):
            assert (x == {"mean": 0, "var": np.float32(1 - FROZEN.epsilon)}[leaf]).all()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_our_own_file_brings_its_run_along(tmp_path, suffix, small_run: Run):
    variables = random_variables(small_run.config.model)
    path = tmp_path / f"weights{suffix}"
    write_weights(from_variables(variables, small_run, where="here"), path, naming=OURS)
    weights = read_weights(path)
    assert weights.run == small_run
    assert_equal(load_detector(weights, small_run.config.model), variables)


@pytest.mark.parametrize(("system", "suffix"), [("detectron2", ".pkl"), ("torchvision", ".pth")])
def test_a_file_for_another_system_has_every_byte_again(tmp_path, system, suffix):
    tensors = state_dict(system, small_model(background=system == "torchvision"))
    weights = from_state_dict(tensors, where="here")
    path = tmp_path / f"weights{suffix}"
    write_weights(weights, path, naming=SYSTEMS[system].NAMING)
    again = read_weights(path)
    assert again.naming.system == system
    assert again.run is None
    back = again.naming.to_theirs(again.tensors)
    assert {n: (x.dtype, x.shape, x.tobytes()) for n, x in back.items()} == {
        n: (x.dtype, x.shape, x.tobytes()) for n, x in tensors.items()
    }
