import dataclasses
import json

import numpy as np
import pytest

import configs
from benchmarks.ablations import __main__ as command
from benchmarks.ablations import runs
from benchmarks.ablations.cases import PLAIN, cases
from benchmarks.ablations.report import differences, table
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.serialization import from_json, to_json

RESULTS = {
    PLAIN: {0: {"box AP": 0.5, "mask AP": 0.4}, 1: {"box AP": 0.6, "mask AP": 0.5}},
    "mask_56": {0: {"box AP": 0.5, "mask AP": 0.5}, 1: {"box AP": 0.5, "mask AP": 0.54}},
    "no_mask": {0: {"box AP": 0.45}},
}


@pytest.mark.parametrize("name", cases())
def test_every_case_is_a_detector_of_its_own_that_survives_json(name, tmp_path):
    config = cases()[name].config
    others = [case.config for other, case in cases().items() if other != name]
    assert config not in others
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_json(config)))
    assert configs.load(str(path)) == config


def test_differences_are_between_runs_of_the_same_seed():
    np.testing.assert_allclose(differences(RESULTS, "mask_56"), [0.1, 0.04])
    assert differences(RESULTS, "no_mask") == []


def test_the_table_has_means_and_spreads():
    lines = table(RESULTS, cases()).splitlines()
    assert len(lines) == 5
    assert "| 2 | 0.550 ± 0.071 | 0.450 ± 0.071 |" in lines[2]
    assert lines[3].endswith("| +0.070 ± 0.042 |")
    assert "| 1 | 0.450 | - |" in lines[4]
    assert lines[4].endswith("| - |")


def test_a_finished_run_is_not_done_again_and_another_is_shortened(tmp_path, monkeypatch):
    calls = []

    def run(*arguments):
        calls.append(arguments)
        if arguments[0] == "eval.py":
            (tmp_path / "eval/val").mkdir(parents=True)
            scores = {"bbox": {"AP": 0.5}, "segm": {"AP": 0.25, "mean_matched_iou": None}}
            (tmp_path / "eval/val/metrics.json").write_text(json.dumps(scores))

    monkeypatch.setattr(runs, "_run", run)
    case = cases()["mask_14"]
    for _ in range(2):
        found = runs.measure(case, tmp_path, seed=4, epochs=1.6, data=tmp_path / "data")
        assert found == {"box AP": 0.5, "mask AP": 0.25}
    assert [call[0] for call in calls] == ["train.py", "eval.py"]
    config = configs.load(calls[0][1])
    assert config.model == case.config.model
    assert config.run.seed == 4
    with pytest.raises(InputError, match=r"config.json.* optimizer.schedule.epochs 1.6, not 3.2;"):
        runs.measure(case, tmp_path, seed=4, epochs=3.2, data=tmp_path / "data")
    assert runs.measure(case, tmp_path, seed=4, epochs=1.6, data=tmp_path / "moved") == found
    schedule = config.optimizer.schedule
    assert (schedule.epochs, schedule.decay_at, schedule.warmup_steps) == (1.6, (1.25,), 50)


def test_all_cases_are_run_with_a_seed_before_the_next(tmp_path, monkeypatch, capsys):
    order = []

    def measure(case, workdir, *, seed, epochs, data):
        order.append((workdir.parent.name, seed))
        return {"mask AP": 0.25 + 0.125 * seed + 0.0625 * len(case.what)}

    monkeypatch.setattr(command, "measure", measure)
    command.run(command.Arguments(workdir=tmp_path, seeds=2, only=("roi_pool",)))
    assert order == [(name, seed) for seed in (0, 1) for name in (PLAIN, "roi_pool")]
    assert (tmp_path / "ablations.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "ablations.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"'roi_pol'.*Did you mean 'roi_pool'\?"):
        command.run(command.Arguments(workdir=tmp_path, only=("roi_pol",)))


def test_a_script_that_fails_is_named():
    with pytest.raises(InputError, match=r"train\.py no_such_preset ended with status 2"):
        runs._run("train.py", "no_such_preset")


def test_a_file_with_another_field_is_refused_by_name(tmp_path):
    content = to_json(dataclasses.replace(configs.load("shapes")))
    content["modle"] = content.pop("model")
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"x\.json: unknown field.*modle"):
        configs.load(str(tmp_path / "x.json"))
    assert from_json(type(configs.load("shapes")), to_json(configs.load("shapes")), where="") == (
        configs.load("shapes")
    )
