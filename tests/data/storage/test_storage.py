import json
import multiprocessing
import operator
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrcnn_jax.data.records import (
    Annotation,
    Category,
    Dataset,
    DroppedAnnotation,
    ImageIndex,
    Record,
)
from maskrcnn_jax.data.storage import RecordBuilder, builder, codec, stored_dataset
from maskrcnn_jax.errors import InputError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANNOTATIONS = st.builds(
    Annotation,
    id=st.integers(0, 2**63 - 1),
    label=st.integers(0, 90),
    box=st.tuples(FINITE, FINITE, FINITE, FINITE),
    area=FINITE,
    is_crowd=st.booleans(),
    segmentation=st.one_of(
        st.lists(st.lists(FINITE, min_size=6, max_size=8), min_size=1, max_size=3),
        st.fixed_dictionaries({"size": st.just([4, 5]), "counts": st.text()}),
        st.fixed_dictionaries({"size": st.just([4, 5]), "counts": st.lists(st.integers(0, 20))}),
    ),
)
RECORDS = st.builds(
    Record,
    image_id=st.integers(0, 2**63 - 1),
    file_name=st.text(),
    image=st.binary(min_size=1),
    height=st.integers(1, 2**31),
    width=st.integers(1, 2**31),
    annotations=st.lists(ANNOTATIONS, max_size=3).map(tuple),
)


def annotation(index):
    return Annotation(
        id=index,
        label=0,
        box=(0.1, 1 / 3, 2, 3),
        area=6.1,
        is_crowd=False,
        segmentation=[[0.1] * 6],
    )


def make_dataset(num_records):
    records = [
        Record(
            image_id=100 + i,
            file_name=f"{i}.jpg",
            image=bytes([i]) * (i + 1),
            height=4,
            width=5,
            annotations=(annotation(i),) * (i % 3),
        )
        for i in range(num_records)
    ]
    images = ImageIndex(
        ids=np.array([record.image_id for record in records]),
        file_names=tuple(record.file_name for record in records),
        heights=np.full(num_records, 4, np.int32),
        widths=np.full(num_records, 5, np.int32),
        num_objects=np.array([len(record.annotations) for record in records], np.int32),
    )
    return Dataset(
        name="numbers",
        split="a/b",
        categories=(Category(id=4, name="thing"),),
        images=images,
        records=records,
        dropped=(DroppedAnnotation(image=1, annotation=annotation(9), reason="box without area"),),
    )


class InMemory(RecordBuilder, skip_registration=True):
    def __init__(self, dataset, cache_dir, *, on_read=lambda: None):
        self._dataset = dataset
        self._on_read = on_read
        super().__init__(configuration="numbers", cache_dir=cache_dir)

    def read(self, dl_manager):
        self._on_read()
        return self._dataset


class Failing(list):
    def __getitem__(self, index):
        if index == 4:
            raise InputError("the fifth record is broken")
        return super().__getitem__(index)


def is_same(one, other):
    """Whether two data sets are equal, records and index included."""
    is_same_metadata = codec.to_metadata(one, labels=()) == codec.to_metadata(other, labels=())
    return is_same_metadata and list(one.records) == list(other.records)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS)
def test_a_record_survives_its_encoding_exactly(record):
    serialized = codec.FEATURES.serialize_example(codec.to_example(record))
    example = codec.FEATURES.deserialize_example_np(serialized, decoders=codec.DECODERS)
    assert codec.from_example(example) == record


def test_metadata_survives_json():
    dataset = make_dataset(5)
    labels = ((), (0,), (0, 3), (), (7,))
    metadata = json.loads(json.dumps(codec.to_metadata(dataset, labels=labels)))
    found = codec.from_metadata(metadata, dataset.records)
    assert is_same(found, dataset)
    assert found.labels == labels
    assert found.dropped == dataset.dropped
    assert found.images.heights.dtype == np.int32


def test_a_stored_data_set_is_the_same_and_in_order(tmp_path):
    dataset = make_dataset(7)
    assert is_same(stored_dataset(InMemory(dataset, tmp_path)), dataset)


def test_many_shards_are_read_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "_PIXELS_PER_SHARD", 45)
    stored = stored_dataset(InMemory(make_dataset(11), tmp_path))
    assert len(list(tmp_path.rglob("*.array_record*"))) == 5
    assert is_same(stored, make_dataset(11))


def test_the_labels_of_every_image_are_known_once_it_is_stored(tmp_path, monkeypatch):
    """Each once, in order, and without those of crowds; also over several shards."""
    monkeypatch.setattr(builder, "_PIXELS_PER_SHARD", 45)
    dataset = make_dataset(11)
    labels = [(7, 2, 7), (), (5,)] * 3 + [(1, 0)] * 2
    records = [
        replace(record, annotations=tuple(replace(annotation(0), label=label) for label in found))
        for record, found in zip(dataset.records, labels, strict=True)
    ]
    crowd = replace(annotation(0), label=9, is_crowd=True)
    records[0] = replace(records[0], annotations=(crowd, *records[0].annotations))
    assert dataset.labels is None
    stored = stored_dataset(InMemory(replace(dataset, records=records), tmp_path))
    assert stored.labels == ((2, 7), (), (5,)) * 3 + ((0, 1),) * 2


def test_it_is_written_once(tmp_path):
    stored_dataset(InMemory(make_dataset(3), tmp_path))

    def fail():
        raise AssertionError("read again")

    assert is_same(
        stored_dataset(InMemory(make_dataset(3), tmp_path, on_read=fail)), make_dataset(3)
    )


def test_a_broken_record_leaves_nothing_behind(tmp_path):
    dataset = make_dataset(6)
    failing = Dataset(**{**vars(dataset), "records": Failing(dataset.records)})
    with pytest.raises(InputError, match="the fifth record is broken"):
        stored_dataset(InMemory(failing, tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert is_same(stored_dataset(InMemory(dataset, tmp_path)), dataset)


def test_a_build_that_was_killed_is_not_taken_as_whole(tmp_path):
    folder = tmp_path / "in_memory/numbers/incomplete.ABCDEF_1.1.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    assert is_same(stored_dataset(InMemory(make_dataset(3), tmp_path)), make_dataset(3))


def test_of_two_builds_at_the_same_time_one_is_kept(tmp_path):
    def meanwhile():
        stored_dataset(InMemory(make_dataset(5), tmp_path))

    stored = stored_dataset(InMemory(make_dataset(5), tmp_path, on_read=meanwhile))
    assert is_same(stored, make_dataset(5))
    assert len(list(tmp_path.rglob("dataset_info.json"))) == 1


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*cannot be stored there: .*cache_dir"):
        stored_dataset(InMemory(make_dataset(3), tmp_path / "file"))


def test_it_says_nothing_but_its_progress(tmp_path, capfd, caplog):
    stored_dataset(InMemory(make_dataset(3), tmp_path))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Storing numbers a/b: 100%" in captured.err
    assert caplog.messages == []


def test_many_threads_read_the_same(tmp_path):
    dataset = make_dataset(20)
    records = stored_dataset(InMemory(dataset, tmp_path)).records
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(records.__getitem__, list(range(20)) * 10)) == dataset.records * 10


def test_a_spawned_process_reads_the_same(tmp_path):
    dataset = make_dataset(3)
    records = stored_dataset(InMemory(dataset, tmp_path)).records
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(operator.itemgetter(2), (records,)) == dataset.records[2]


def test_what_is_sent_to_a_process_is_small_and_has_a_lasting_name(tmp_path):
    for side in ("left", "right"):
        records = stored_dataset(InMemory(make_dataset(30), tmp_path / side)).records
        assert len(pickle.dumps(records)) < 500
        assert repr(records) == "StoredRecords(in_memory/numbers/1.1.0)"


def test_tensorflow_is_not_imported():
    code = (
        "import sys, maskrcnn_jax.data.datasets\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
