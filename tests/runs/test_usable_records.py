"""Records that are no more what `prepare` would make are refused by those who read them."""

import os
import shutil

import pytest
from made_cohort import make_cohort, write_slide

from ats_mag.cohort.manifest import load_manifest
from ats_mag.cohort.patient_division import SplitError
from ats_mag.config.reading import read_config
from ats_mag.preparation import prepare
from ats_mag.records.record import RecordError, find_records
from ats_mag.runs.run import Run
from ats_mag.runs.usable_records import usable_records
from ats_mag.training.fold_data import fold_records

YAML = "splits: {kind: manifest, validation: 0}\nprepare: {empty_mask: whole}\ndata: {default_mpp: 0.5}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four slides with records: one whose resolution the manifest states, one of the default, one without tissue."""
    folder = tmp_path_factory.mktemp("made")
    table = make_cohort(folder, 4).drop(columns="site")
    write_slide(folder / "slides" / "s1.tif", 1, mpp=None)
    write_glass(folder / "slides" / "s3.tif")
    table = table.assign(split=["train", "train", "train", "test"], mpp=["0.5", "", "", ""])
    table.to_csv(folder / "manifest.csv", index=False)
    (folder / "config.yaml").write_text(YAML)
    config = read_config(folder / "config.yaml")
    done = prepare(
        load_manifest(config), config.data.slides, config.records, empty_mask="whole", default_mpp=0.5, workers=1
    )
    assert [p.error for p in done] == [None] * 4
    return folder


def write_glass(path):
    import numpy as np

    from ats_mag.slides.writing.pyramid import write_pyramid

    write_pyramid(path, np.full((512, 512, 3), 243, np.uint8), 0.5, (1, 4))


@pytest.fixture
def study(made, tmp_path):
    shutil.copytree(made, tmp_path / "study")
    return tmp_path / "study"


def found(study, text=YAML, skip=False):
    (study / "config.yaml").write_text(text)
    (study / "run" / "splits.csv").unlink(missing_ok=True)  # of a manifest that has changed, it may be
    run = Run.open(read_config(study / "config.yaml"))
    return usable_records(run, run.manifest["slide_id"], skip)


def edit(study, old, new):
    file = study / "manifest.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_records_that_stand_are_given(study):
    assert list(found(study)) == ["s0", "s1", "s2", "s3"]
    # Labels, patients and splits are the manifest's; a copy of a slide has another time.
    edit(study, "s2,s2.tif,p2,a,,train", "s2,s2.tif,p9,b,,test")
    os.utime(study / "slides" / "s2.tif", ns=(1, 1))
    assert list(found(study)) == ["s0", "s1", "s2", "s3"]
    run = Run.open(read_config(study / "config.yaml"))
    assert [r["slide_id"] for r in fold_records(run, 0)["train"]] == ["s0", "s1"]


def test_records_that_are_not_used_stop_nothing(study):
    """Of slides that were taken out of the manifest, damaged or of another resolution, and what macOS leaves."""
    records = study / "run" / "records"
    edit(study, "s2,s2.tif,p2,a,,train\n", "")
    (records / "s2.tfrecord").write_bytes(b"damaged")
    (records / "old.tfrecord").write_bytes(b"damaged")
    (records / "._s0.tfrecord").write_bytes(b"\0\5\26\7")
    assert list(found(study)) == ["s0", "s1", "s3"]
    assert find_records(records, slide_ids=["s9"]) == []
    with pytest.raises(RecordError, match=r"old.tfrecord' is damaged"):
        find_records(records)


def test_a_class_without_a_usable_slide_is_told_before_training(study):
    """The splits have slides of both; but those with a record may not."""
    skip = YAML.replace("whole", "whole, on_bad_slide: skip")
    (study / "config.yaml").write_text(skip)
    edit(study, "s0,s0.tif,p0,a", "s0,s0.tif,p0,b")  # a: s2; b: s0, s1
    run = Run.open(read_config(study / "config.yaml"))
    assert len(fold_records(run, 0)["train"]) == 3
    (run.config.records / "s2.tfrecord").unlink()
    with (
        pytest.warns(UserWarning, match="s2; they are left out"),
        pytest.raises(SplitError, match=r"have a record, the training part of fold 0 lacks the class.* 'a'.*or have"),
    ):
        fold_records(run, 0)


def test_a_validation_part_of_one_class_is_only_told(study):
    (study / "config.yaml").write_text(YAML)
    edit(study, "s2,s2.tif,p2,a,,train", "s2,s2.tif,p2,a,,validation")
    with pytest.warns(UserWarning, match="validation part has slides of one class only, 'a'"):
        assert len(fold_records(Run.open(read_config(study / "config.yaml")), 0)["train"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("empty_mask: whole", "empty_mask: whole, overview_mpp: 4", "4 .*prepare.overview_mpp was 8 and is 4: s0, s1"),
        ("default_mpp: 0.5", "default_mpp: 0.25", "1 .*another data.default_mpp: s1"),
        ("{default_mpp: 0.5}", "{}", "1 .*another data.default_mpp: s1"),
        (
            "empty_mask: whole",
            "empty_mask: whole, tissue: {method: otsu}",
            "4 .*prepare.tissue was .*bounded.* and is .*otsu.*: s0",
        ),
        ("whole", "error", "1 .*prepare.empty_mask was 'whole' and is 'error': s3"),
    ],
)
def test_other_settings_are_refused(study, old, new, message):
    with pytest.raises(RecordError, match=f"{message}.*run `ats-mag prepare` again"):
        found(study, YAML.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "slide"),
    [(",0.5,train", ",0.25,train", "s0"), (",0.5,train", ",,train", "s0"), ("p2,a,,train", "p2,a,0.5,train", "s2")],
)
def test_another_mpp_of_the_manifest_is_refused(study, old, new, slide):
    edit(study, old, new)
    with pytest.raises(RecordError, match=rf"1 slide.*another mpp in the manifest: {slide}\)"):
        found(study)


def test_another_path_is_refused(study):
    (study / "slides" / "s2.tif").rename(study / "slides" / "t2.tif")
    edit(study, "s2.tif", "t2.tif")
    with pytest.raises(RecordError, match=r"1 slide.*another path: s2\)"):
        found(study)


def test_another_slide_file_is_refused_and_a_broken_one_left_to_its_reader(study):
    slide = study / "slides" / "s2.tif"
    write_slide(slide, 7)
    with pytest.raises(RecordError, match=r"1 slide.*another slide file: s2\)"):
        fold_records(Run.open(read_config(study / "config.yaml")), 0)
    slide.write_bytes(b"no slide any more")
    assert "s2" in found(study)
    slide.unlink()
    assert "s2" in found(study)
