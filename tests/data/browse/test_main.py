import sys

import cv2
import jax
import numpy as np
import pytest

import configs
from maskrcnn_jax.data.browse.__main__ import main
from maskrcnn_jax.data.browse.examples import first_examples
from maskrcnn_jax.data.pipeline import train_batches
from tests.data.samples import make_config, random_dataset

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPES = ["shapes", "--data.num-train", "24", "--data.num-eval", "5", "--input.batch-size", "4"]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def browse(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["browse", *map(str, arguments)])
    main()


def test_the_examples_are_those_of_training():
    dataset, config = random_dataset([(48, 80), (80, 48)] * 5), make_config(num_workers=1)
    found = list(first_examples(dataset, config, seed=7, num=9))
    assert len(found) == 9
    batches = train_batches(dataset, make_config(), seed=7)
    for number in range(9):
        if number % 4 == 0:
            batch = next(batches)
        expected = jax.tree.map(lambda x, row=number % 4: x[row], batch)
        assert jax.tree.all(jax.tree.map(np.array_equal, found[number], expected))
    batches.close()


def test_one_picture_the_same_each_time(tmp_path, monkeypatch, capsys):
    one, two, other = (tmp_path / name for name in ("one.png", "sub/two.png", "other.jpg"))
    browse(monkeypatch, *SHAPES, "--out", one, "--num", 6)
    assert capsys.readouterr().out == f"{one}: 6 examples of shapes train\n"
    browse(monkeypatch, *SHAPES, "--out", two, "--num", 6)
    assert one.read_bytes() == two.read_bytes()
    assert cv2.imread(str(one)).shape == (2 * 560 + 8, 3 * 520 + 8, 3)
    browse(monkeypatch, *SHAPES, "--out", other, "--num", 1, "--run.seed", 5, "--split", "val")
    assert capsys.readouterr().out.endswith("1 examples of shapes val\n")
    assert cv2.imread(str(other)).shape == (568, 528, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "x.gif"], "must end in .png or .jpg or .jpeg"),
        (["--out", "x.png", "--num", "0"], "--num must be between 1 and 100, not 0"),
        (["--out", "x.png", "--split", "trian"], "Did you mean 'train'?"),
        ([], "--out"),
    ],
)
def test_mistakes_are_status_2_and_write_nothing(tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        browse(monkeypatch, *SHAPES, *options)
    assert exit_.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("x.*"))


def test_without_a_preset_all_are_listed(monkeypatch, capsys):
    with pytest.raises(SystemExit) as exit_:
        browse(monkeypatch, "--help")
    assert exit_.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told for name in configs.names())


def test_real_data_with_every_recipe(shared, tmp_path, monkeypatch):
    browse(
        monkeypatch,
        *("mask_rcnn_r50_fpn_lsj_100ep", "--data.root", shared / "data/coco2017_mini"),
        *("--out", tmp_path / "x.png", "--num", 2, "--input.batch-size", 2),
        *("--input.copy-paste.probability", 1, "--input.crop.probability", 1),
        *("--input.jitter.size", 256, 256),
    )
    assert (tmp_path / "x.png").stat().st_size > 50_000
