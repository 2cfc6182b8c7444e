import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import configs
from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.out_of_memory import explained, prediction_advice, training_advice

FAR_TOO_MUCH = 1 << 46
CONFIG = configs.load("mask_rcnn_r50_fpn_1x")  # 16 images on the 2 devices of the tests


def of_xla():
    jax.block_until_ready(jax.jit(lambda: jnp.zeros(FAR_TOO_MUCH, jnp.float32))())


def of_numpy():
    np.empty(FAR_TOO_MUCH)


def of_python():
    raise MemoryError


def changed(**fields):
    """The config with other values, by the name of their options with __ for a dot."""
    config = CONFIG
    for name, value in fields.items():
        section, field = name.split("__")
        part = dataclasses.replace(getattr(config, section), **{field: value})
        config = dataclasses.replace(config, **{section: part})
    return config


def options(advice):
    """What is advised, in order."""
    return [line.split()[0] for line in advice.splitlines() if line.startswith("  --")]


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        (of_xla, "Out of memory allocating 281474976710656 bytes"),
        (of_numpy, "Unable to allocate 512. TiB for an array"),
        (of_python, "the host has no more"),
    ],
)
def test_the_real_errors_become_advice(fail, words):
    with pytest.raises(InputError) as caught, explained("Try less."):
        fail()
    assert str(caught.value).startswith(f"not enough memory: {words}")
    assert str(caught.value).endswith(". Try less.")


def test_only_the_first_line_of_xlas_report_is_told():
    report = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.\nLargest buffers:\n..."
    with pytest.raises(InputError) as caught, explained("Try less."):
        raise jax.errors.JaxRuntimeError(report)
    assert (
        str(caught.value) == "not enough memory: Ran out of memory in memory space hbm. Try less."
    )


@pytest.mark.parametrize("error", [jax.errors.JaxRuntimeError("INTERNAL: x"), ValueError("x")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, explained("Try less."):
        raise error
    assert caught.value is error


def test_to_train_with_less_comes_first_what_keeps_the_result():
    advice = training_advice(CONFIG)
    assert "2 cpu device(s) had 8 image(s) of 960x1344 or 1344x960 at once" in advice
    assert options(advice) == [
        "--run.micro-batches",
        "--run.pictures-every",
        "--input.batch-size",
        "--input.padded-sizes",
        "--model.precision",
        "--run.shard-state",
    ]
    assert "--run.micro-batches 2 " in advice
    assert "--input.batch-size 8 " in advice


def test_the_backward_pass_computes_again_except_on_a_cpu(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [type("Device", (), {"platform": "tpu"})])
    assert "--model.backbone.remat" in options(training_advice(CONFIG))
    backbone = dataclasses.replace(CONFIG.model.backbone, remat=True)
    done = options(training_advice(changed(model__backbone=backbone)))
    assert "--model.backbone.remat" not in done


def test_what_is_done_already_is_not_advised():
    run = dataclasses.replace(CONFIG.run, micro_batches=8, shard_state=True, pictures_every=0)
    config = dataclasses.replace(changed(model__precision="bfloat16"), run=run)
    advice = training_advice(config)
    assert "had 1 image(s) of" in advice
    assert options(advice) == ["--input.padded-sizes"]


@pytest.mark.parametrize("batch_size", [1, 2, 6, 12, 15, 16])
@pytest.mark.parametrize("micro_batches", [1, 2, 3])
def test_what_is_advised_can_be_shared_by_the_devices(batch_size, micro_batches):
    config = changed(input__batch_size=batch_size, run__micro_batches=micro_batches)
    for line in training_advice(config).splitlines():
        option, value = [*line.split(), "", ""][:2]
        if option == "--run.micro-batches":
            assert int(value) > micro_batches
            assert batch_size // 2 % int(value) == 0
        if option == "--input.batch-size":
            assert int(value) < batch_size
            assert int(value) % (2 * micro_batches) == 0


def test_training_on_jittered_images_tells_their_size():
    advice = training_advice(configs.load("mask_rcnn_r50_fpn_lsj_100ep"))
    assert "of 1024x1024 at once" in advice


def to_predict(augmentation=NO_AUGMENTATION, *, batch_size, **changes):
    config = changed(**changes)
    return prediction_advice(config.model, config.input, augmentation, batch_size=batch_size)


def test_to_predict_with_less():
    advice = to_predict(batch_size=8)
    assert "2 cpu device(s) had 4 image(s) of 960x1344 or 1344x960 at once" in advice
    assert options(advice)[0] == "--input.eval-batch-size"
    assert "--input.eval-batch-size 4 " in advice
    assert options(advice)[-1] == "--model.precision"
    assert "--input.eval-batch-size" not in to_predict(batch_size=1)
    assert "--model.precision" not in to_predict(model__precision="bfloat16", batch_size=1)


def test_to_see_less_of_an_image_at_once():
    advice = to_predict(AugmentationConfig(), batch_size=2)
    assert "--augmentation.scales 0.5 0.625 0.75 0.875 " in advice
    assert options(advice)[1] == "--tta"
    advice = to_predict(AugmentationConfig(scales=(1.0,)), batch_size=2)
    assert options(advice) == ["--tta", "--input.padded-sizes", "--model.precision"]
