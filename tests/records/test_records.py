import os
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ats_mag.cohort.manifest import ManifestError, read_manifest
from ats_mag.geometry.slide_geometry import MPP_UNIT
from ats_mag.preparation import prepare
from ats_mag.records.dataset import dataset
from ats_mag.records.record import RecordError, encode_label, find_records, read_texts
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.slides.overview import view_slide
from ats_mag.slides.reader import read_overview
from ats_mag.slides.tissue import tissue_mask

CLASSES = ["a", "b", "c"]


def table(folder, rows, columns=("slide_id", "patient_id", "path", "label")):
    file = folder / "m.csv"
    pd.DataFrame(rows, columns=list(columns)).to_csv(file, index=False)
    return file


def test_a_record_holds_what_the_slide_shows(cohort, records):
    found = find_records(records)
    assert [r["slide_id"] for r in found] == [f"s{i}" for i in range(6)]
    inputs = next(iter(dataset(found[1:2], cohort / "slides", None)))
    slide = str(cohort / "slides" / "s1.tif")
    overview = read_overview(slide, 16.0).numpy()
    height, width = overview.shape[:2]
    np.testing.assert_array_equal(inputs["overview"][0, :height, :width], overview)
    np.testing.assert_array_equal(inputs["mask"][0, :height, :width], tissue_mask(overview))
    assert (inputs["overview"][0, height:] == 255).numpy().all()
    assert not inputs["mask"][0, height:].numpy().any()
    assert bytes(inputs["path"][0].numpy().astype("uint8")).rstrip(b"\0").decode() == slide
    np.testing.assert_array_equal(inputs["geometry"][0], [0, 0, 1536, 1024, 5_000_000])
    view = view_slide(slide, 16.0)
    np.testing.assert_array_equal(view.geometry, inputs["geometry"][0])


def test_batches_are_padded_and_labels_are_numbers(cohort, records):
    inputs, labels = next(iter(dataset(records, cohort / "slides", CLASSES, 10**12)))  # no more than there are
    assert inputs["overview"].shape == (6, 64, 64, 3)
    np.testing.assert_array_equal(labels, [0, 1, 2, 0, 1, 2])


def test_shuffling_repeats_with_its_seed_and_changes_every_epoch(cohort, records):
    def order(seed):
        data = dataset(records, cohort / "slides", CLASSES, 1, shuffle=True, seed=seed)
        return [[bytes(x["path"][0].numpy().astype("uint8")) for x, _ in data] for _ in range(2)]

    first, again = order(1), order(1)
    assert first == again
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1])


def test_splits(cohort, records):
    assert [r["slide_id"] for r in find_records(records, "test")] == ["s4", "s5"]
    with pytest.raises(RecordError, match=r"no record of split 'val'.*'test', 'train'"):
        find_records(records, "val")


def test_preparing_again_keeps_what_is_done_and_redoes_what_changed(cohort, records):
    manifest = read_manifest(cohort / "manifest.csv")
    before = {f.name: f.stat().st_mtime_ns for f in records.glob("*.tfrecord")}
    (records / "s2.tfrecord").write_bytes(b"damaged")
    done = {p.slide_id: p.status for p in prepare(manifest, cohort / "slides", records, 16.0, 1)}
    assert done == {f"s{i}": "written" if i == 2 else "kept" for i in range(6)}
    after = {f.name: f.stat().st_mtime_ns for f in records.glob("*.tfrecord")}
    assert {name for name in after if after[name] != before[name]} == {"s2.tfrecord"}
    assert set(after) == set(before)


def test_the_manifest_mpp_overrides_the_files(cohort, tmp_path):
    rows = [("s", "p", "s0.tif", "a", "40x")]
    manifest = read_manifest(table(tmp_path, rows, ("slide_id", "patient_id", "path", "label", "mpp")))
    (done,) = prepare(manifest, cohort / "slides", tmp_path / "r", 16.0, 1)
    assert done.error is None
    assert read_texts(tmp_path / "r" / "s.tfrecord")["geometry"][4] * MPP_UNIT == pytest.approx(0.25)


def test_failures_are_named_and_leave_nothing_behind(cohort, tmp_path):
    from ats_mag.slides.writing.pyramid import write_pyramid

    slides = tmp_path / "a folder (1) é"
    slides.mkdir()
    write_pyramid(slides / "weiß (2).tif", np.full((512, 512, 3), 250, np.uint8), 0.5)
    (slides / "empty.svs").write_bytes(b"")
    rows = [("blank", "1", "weiß (2).tif", "a"), ("empty", "2", "empty.svs", "a"), ("gone", "3", "gone.svs", "a")]
    done = {p.slide_id: p for p in prepare(read_manifest(table(tmp_path, rows)), slides, tmp_path / "r", 16.0, 1)}
    assert {p.status for p in done.values()} == {"failed"}
    assert "no tissue was found on slide 'weiß (2).tif'" in done["blank"].error
    assert "empty.svs" in done["empty"].error
    assert "does not exist" in done["gone"].error
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["failed.csv", "state"]
    manifest = read_manifest(table(tmp_path, rows[:1]))
    (whole,) = prepare(manifest, slides, tmp_path / "r", 16.0, 1, empty_mask="whole")
    assert whole.status == "written"
    inputs = next(iter(dataset(tmp_path / "r", slides, None)))
    assert inputs["mask"][0, :16, :16].numpy().all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("s", "p", "x", "a"), ("s", "p", "y", "a")], "slide_id 's' stands in lines 2, 3"),
        ([("s", "p", "", "a")], "line 2: the column 'path' is empty"),
        ([("../s", "p", "x", "a")], "must not contain '/'"),
        ([], "names no slide"),
    ],
)
def test_bad_manifests(tmp_path, rows, message):
    with pytest.raises(ManifestError, match=message):
        read_manifest(table(tmp_path, rows))


def test_more_bad_manifests(tmp_path):
    with pytest.raises(ManifestError, match="does not exist"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match=r"lacks the column\(s\) label"):
        read_manifest(table(tmp_path, [("s", "p", "x")], ("slide_id", "patient_id", "path")))
    rows = [("s", "p", "x", "a", "0"), ("t", "q", "x", "a", "0.5")]
    with pytest.raises(ManifestError, match="line 2: slide 's' has a bad mpp"):
        read_manifest(table(tmp_path, rows, ("slide_id", "patient_id", "path", "label", "mpp")))
    rows = [("s", "p", "x", "a", "train"), ("t", "p", "x", "a", "test")]
    with pytest.raises(ManifestError, match="patient 'p' stands in several splits"):
        read_manifest(table(tmp_path, rows, ("slide_id", "patient_id", "path", "label", "split")))


def test_labels():
    assert encode_label("b", CLASSES) == 1
    np.testing.assert_array_equal(encode_label("a;c", CLASSES, multi_label=True), [1, 0, 1])
    with pytest.raises(RecordError, match="label 'd', which is none of the classes a, b, c"):
        encode_label("d", CLASSES, slide_id="s")


def test_another_schema_version_is_refused(records, tmp_path):
    record = next(iter(tf.data.TFRecordDataset(str(records / "s0.tfrecord")))).numpy()
    example = tf.train.Example.FromString(record)
    example.features.feature["schema"].int64_list.value[0] = 99
    with tf.io.TFRecordWriter(str(tmp_path / "s0.tfrecord")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(RecordError, match=r"s0.tfrecord.*schema version 99.*version 2.*prepare"):
        find_records(tmp_path)
    (tmp_path / "s0.tfrecord").write_bytes(b"junk")
    with pytest.raises(RecordError, match="damaged"):
        find_records(tmp_path)


def paths_of(inputs):
    return [bytes(path.astype("uint8")).rstrip(b"\0").decode() for path in inputs["path"].numpy()]


def test_paths_of_local_copies(cohort, records, tmp_path):
    near = tmp_path / ("near " * 30)  # paths longer than the slides' own
    copies = LocalCopies(near, 10**8)
    (inputs,) = dataset(records, cohort / "slides", None, 6, local_copies=copies)
    for i, path in enumerate(paths_of(inputs)):
        assert path.startswith(str(near))
        assert path.endswith(f"-s{i}.tif")
        with open(path, "rb") as copy:
            assert copy.read() == (cohort / "slides" / f"s{i}.tif").read_bytes()
    short = next(iter(dataset(records, cohort / "slides", None, 6)))
    assert inputs["path"].shape[1] > short["path"].shape[1]
    for name in ("overview", "mask", "geometry"):
        np.testing.assert_array_equal(inputs[name], short[name])


def test_copies_stay_until_they_were_used(cohort, records, tmp_path):
    """Slides come round faster than they are used, and the bound is less than all of them."""
    (tmp_path / "r").mkdir()
    for n in range(30):
        record = next(iter(tf.data.TFRecordDataset(str(records / f"s{n % 6}.tfrecord")))).numpy()
        example = tf.train.Example.FromString(record)
        example.features.feature["path"].bytes_list.value[0] = f"{n:02}.tif".encode()
        with tf.io.TFRecordWriter(str(tmp_path / "r" / f"{n:02}.tfrecord")) as writer:
            writer.write(example.SerializeToString())
        (tmp_path / f"{n:02}.tif").write_bytes(b"x" * 1000)
    data = dataset(tmp_path / "r", tmp_path, None, 2, local_copies=LocalCopies(tmp_path / "near", 12_000))
    seen, last = [], []
    for inputs in data:
        found = paths_of(inputs)
        assert all(os.path.exists(path) for path in last + found)
        assert all(path.startswith(str(tmp_path / "near")) for path in found)
        seen, last = seen + found, found
    assert [path[-6:] for path in seen] == [f"{n:02}.tif" for n in range(30)]
    assert sum(os.path.exists(path) for path in seen) <= 12


@pytest.mark.parametrize("room", [pytest.param(10**8, marks=pytest.mark.long), 300_000])
def test_training_on_local_copies_is_the_same(cohort, records, build, tmp_path, room):
    def losses(copies):
        keras.utils.set_random_seed(0)
        data = dataset(records, cohort / "slides", CLASSES, 3, shuffle=True, seed=5, local_copies=copies)
        return build().fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where not all fit
        assert losses(LocalCopies(tmp_path / "near", room)) == losses(None)
    copies = list((tmp_path / "near").glob("*.tif"))
    assert sum(path.stat().st_size for path in copies) <= room
    assert copies
