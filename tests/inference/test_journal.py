import dataclasses
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.inference.journal import Job, Version, fingerprint, opened_journal
from maskrcnn_jax.inference.options import OutputOptions
from tests import tiny

JOB = Job(
    weights="a",
    model=tiny.tiny_config(),
    categories=(Category(id=7, name="dog"),),
    eval_short_side=64,
    long_side=96,
    padded_sizes=((64, 96),),
    augmentation=NO_AUGMENTATION,
    output=OutputOptions(),
)


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    return paths


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def by_name(paths):
    return {path.relative_to(path.parent).with_suffix(".png"): path for path in paths}


def names(paths):
    return list(by_name(paths))


def add(journal, path):
    journal.add(
        *(names([path])[0], path),
        [{"image_id": 0, "score": ord(path.stem) / 256}, {"image_id": 0, "score": 0.0}],
        version=Version.of(path),
        counts=Counter(dog=1),
    )


def results(out):
    return [
        (record["image_id"], record["file_name"][-5:], record["score"])
        for record in json.loads((out / "results.json").read_text())
    ]


def test_results_are_in_the_order_of_the_images_whenever_they_came(paths, out):
    with opened_journal(out / "new", JOB):
        pass
    assert not (out / "new").exists()
    (out / "results.json").write_text("[]")
    with opened_journal(out, JOB) as journal:
        assert (out / "results.json").exists()
        for path in reversed(paths):
            add(journal, path)
            assert not (out / "results.json").exists()
        journal.write_results(names(paths))
        assert results(out) == [
            (1, "a.jpg", 97 / 256), (1, "a.jpg", 0.0),
            (2, "b.jpg", 98 / 256), (2, "b.jpg", 0.0),
            (3, "c.jpg", 99 / 256), (3, "c.jpg", 0.0),
        ]  # fmt: skip
        first = json.loads((out / "results.json").read_text())[0]
        assert list(first) == ["image_id", "score", "file_name"]
        assert (out / "results.json").read_text() == json.dumps(
            json.loads((out / "results.json").read_text())
        )
        journal.remove()
    assert [path.name for path in out.iterdir()] == ["results.json"]


def test_a_killed_program_is_continued_where_it_was(paths, out):
    with opened_journal(out, JOB) as journal:
        add(journal, paths[1])
        whole = (out / "results.jsonl").read_bytes()
        add(journal, paths[0])
    for cut in (len(whole), len(whole) + 1, len(whole) + 40):
        content = (out / "results.jsonl").read_bytes()[:cut]
        (out / "results.jsonl").write_bytes(content)
        (out / "a.png.1234.partial").write_text("half a picture")
        (out / "a.csv.1234.partial").write_text("of a video that is being looked at")
        with opened_journal(out, JOB) as again:
            assert list(again.left_of(by_name(paths)).values()) == [paths[0], paths[2]]
            assert [path.name for path in out.glob("*.partial")] == ["a.csv.1234.partial"]
            for path in (paths[2], paths[0]):
                add(again, path)
            assert again.counts(names(paths)[1]) == {"dog": 1}
            again.write_results(names(paths))
            assert [image_id for image_id, *_ in results(out)] == [1, 1, 2, 2, 3, 3]


def test_what_has_changed_is_done_again_and_what_is_gone_left_out(paths, out):
    with opened_journal(out, JOB) as journal:
        for path in paths:
            add(journal, path)
    paths[0].write_text("mended")
    os.utime(paths[1], ns=(0, 0))
    with opened_journal(out, JOB) as again:
        images = by_name(paths)
        assert list(again.left_of(images).values()) == paths[:2]
        assert [name in again for name in images] == [False, False, True]
        add(again, paths[1])
        paths[2].unlink()  # while the others are being done
        again.write_results(names(paths[1:]))
        assert [image_id for image_id, *_ in results(out)] == [1, 1, 2, 2]
        again.write_results(names(paths))  # what could not be read any more has no old results
        assert [image_id for image_id, *_ in results(out)] == [2, 2, 3, 3]


def test_what_is_done_under_another_name_has_no_picture_of_this_one(paths, out):
    """Nor has an image whose picture was that of another one since."""
    other = paths[0].with_name("o.jpg")
    other.write_text("other")
    for path in (paths[0], other):  # alike but for their names
        os.utime(path, ns=(0, 0))
    named = {Path("a.png"): other}
    with opened_journal(out, JOB) as journal:
        add(journal, paths[0])
        assert journal.left_of({Path("sub/a.png"): paths[0]})
        assert journal.left_of(named) == named
        journal.add(Path("a.png"), other, [], version=Version.of(other), counts=Counter())
        assert not journal.left_of(named)
    with opened_journal(out, JOB) as journal:
        assert not journal.left_of(named)
        assert list(journal.left_of(by_name(paths[:1])).values()) == paths[:1]


def test_a_damaged_line_counts_for_nothing(paths, out):
    with opened_journal(out, JOB) as journal:
        for path in paths:
            add(journal, path)
    lines = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    for damage in (bytes(len(lines[2]) - 1), b"\xff\xfe", b"[]", b'{"name": "b.png"}'):
        (out / "results.jsonl").write_bytes(b"".join([*lines[:2], damage, b"\n", lines[3]]))
        with opened_journal(out, JOB) as again:
            assert list(again.left_of(by_name(paths)).values()) == [paths[1]]
            add(again, paths[1])
            again.write_results(names(paths))
            assert [image_id for image_id, *_ in results(out)] == [1, 1, 2, 2, 3, 3]


def test_one_prediction_at_a_time(paths, out):
    with opened_journal(out, JOB) as journal:
        for _ in range(2):  # before and after the first result
            with (
                pytest.raises(InputError, match="another prediction is at work there"),
                opened_journal(out, JOB),
            ):
                pass
            add(journal, paths[0])
        assert not journal.left_of(by_name(paths[:1]))
    with opened_journal(out, JOB) as again:
        assert not again.left_of(by_name(paths[:1]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weights": "b"}, "other weights"),
        ({"categories": ()}, "other categories"),
        ({"output": OutputOptions(min_score=0.25)}, "--min-score 0.5, not 0.25"),
        ({"output": OutputOptions(save=())}, r"--save \['pictures'\], not \[\]"),
        ({"augmentation": AugmentationConfig()}, "--augmentation.scales"),
        ({"eval_short_side": 32}, "--eval-short-side 64, not 32"),
        ({"model": tiny.without_masks(JOB.model)}, r"--model\.roi\.mask"),
    ],
)
def test_another_job_is_refused(paths, out, changes, told):
    with opened_journal(out, JOB) as journal:
        add(journal, paths[0])
    before = (out / "results.jsonl").read_bytes()
    with (
        pytest.raises(InputError, match=f"results.jsonl holds .* with {told}"),
        opened_journal(out, dataclasses.replace(JOB, **changes)),
    ):
        pass
    assert (out / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize("content", ["[1, 2]\n", "{}\n", "half a li"])
def test_a_foreign_file_is_refused(out, content):
    (out / "results.jsonl").write_text(content)
    with (
        pytest.raises(InputError, match="not of this program, or damaged"),
        opened_journal(out, JOB),
    ):
        pass
    assert (out / "results.jsonl").read_text() == content


def test_fingerprints_tell_weights_apart():
    weights = {"params": {"a": np.zeros((2, 3), np.float32), "b": np.ones(2, np.float32)}}
    other = {"params": {"a": np.zeros((3, 2), np.float32), "b": np.ones(2, np.float32)}}
    changed = {"params": weights["params"] | {"b": np.array([1, 1 + 1e-7], np.float32)}}
    moved = {"params": {"a": weights["params"]["a"], "c": weights["params"]["b"]}}
    found = {fingerprint(tree) for tree in (weights, other, changed, moved)}
    assert len(found) == 4
    assert fingerprint(dict(reversed(weights.items()))) == fingerprint(weights)
