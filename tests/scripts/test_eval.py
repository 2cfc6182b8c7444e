import json
import types

import pytest

import eval as script
from maskrcnn_jax.errors import InputError


def test_a_run_is_scored_and_written_down(run, workdir, tmp_path):
    result = run("eval.py", "--workdir", workdir, "--out", tmp_path, "--report", tmp_path / "page")
    assert result.returncode == 0, result.stderr
    assert "AP50" in result.stdout
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics) == {"bbox", "segm", "boundary"}
    assert {"AP", "AP50", "AR100", "per_class"} <= set(metrics["segm"]) & set(metrics["boundary"])
    assert metrics["bbox"]["AP"] is None or 0 <= metrics["bbox"]["AP"] <= 1
    results = json.loads((tmp_path / "results.json").read_text())
    assert {record["image_id"] for record in results} <= {1, 2, 3}
    assert all(record["segmentation"]["size"] == [64, 64] for record in results)
    page = (tmp_path / "page" / "index.html").read_text()
    assert "shapes, val" in page
    assert page.count("<img ") == 6  # of 3 images


def test_results_do_not_depend_on_the_number_of_devices(run, workdir, tmp_path):
    for devices in (1, 3):  # 3 do not divide the batch of 2
        out = tmp_path / str(devices)
        assert run("eval.py", "--workdir", workdir, "--out", out, devices=devices).returncode == 0
    one, three = (json.loads((tmp_path / n / "results.json").read_text()) for n in "13")
    assert [(r["image_id"], r["category_id"]) for r in one] == [
        (r["image_id"], r["category_id"]) for r in three
    ]


def test_reference_results_give_their_published_figures(run, shared, tmp_path):
    folder = shared / "data/coco_eval_val2014_100"
    for kind, figures in (("bbox", (0.505, 0.697, 0.573)), ("segm", (0.320, 0.562, 0.299))):
        result = run(
            *("eval.py", "--results", folder / f"instances_val2014_fake{kind}100_results.json"),
            *("--annotations", folder / "instances_val2014_100.json", "--out", tmp_path),
            *("--report", tmp_path / kind),
        )
        assert result.returncode == 0, result.stderr
        metrics = json.loads((tmp_path / "metrics.json").read_text())[kind]
        assert tuple(round(metrics[name], 3) for name in ("AP", "AP50", "AP75")) == figures
        page = (tmp_path / kind / "index.html").read_text()
        assert f"<dd>{figures[0]:.3f}</dd>" in page
        assert "--images FOLDER" in page


def test_bad_input_is_one_clear_message(fails, workdir, tmp_path):
    assert "holds no checkpoints" in fails("eval.py", "--workdir", tmp_path)
    assert not list(tmp_path.iterdir())
    assert "--results" in fails("eval.py", "--workdir", workdir, "--results", "r.json")
    assert "--annotations" in fails("eval.py", "--results", tmp_path / "r.json")
    message = fails("eval.py", "--results", tmp_path / "r.json", "--annotations", tmp_path / "a")
    assert str(tmp_path / "a") in message
    files = ("--results", tmp_path / "r.json", "--annotations", tmp_path / "a")
    assert "give --report" in fails("eval.py", *files, "--images", tmp_path)
    assert "Did you mean 'val'?" in fails("eval.py", "--workdir", workdir, "--split", "vall")


def test_places_to_write_come_first_and_predictions_before_scores(monkeypatch, tmp_path):
    dataset = types.SimpleNamespace(federation=None, images=[], name="a", split="b")
    predictor = types.SimpleNamespace(model=types.SimpleNamespace(has_masks=True))
    monkeypatch.setattr(script, "dropped_summary", lambda _: None)
    monkeypatch.setattr(script, "truth_of", lambda _: None)
    monkeypatch.setattr(script, "predict_dataset", lambda *_: [{"image_id": 1}])

    def stop(*_, **__):
        raise KeyboardInterrupt

    def evaluate(out, page):
        script.evaluate_dataset(dataset, predictor, out=out, page=page, source=tmp_path)

    monkeypatch.setattr(script, "evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, None)
    assert json.loads((tmp_path / "results.json").read_text()) == [{"image_id": 1}]

    monkeypatch.setattr(script, "predict_dataset", stop)  # is not come to
    with pytest.raises(InputError, match=r"--report .*is no folder"):
        evaluate(tmp_path, tmp_path / "results.json")
