"""Preparing: what stands is kept, what changed is made anew, what is broken costs nothing but itself."""

import fcntl
import json
import os
import shutil

import pandas as pd
import pytest
from made_cohort import OVERVIEW_MPP, fingerprints, make_cohort, table, write_slide

import ats_mag
from ats_mag.preparation import Prepared, prepare, unlisted_records
from ats_mag.records.record import find_records, read_texts

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return folder, make_cohort(folder)


@pytest.fixture(scope="module")
def prepared(cohort):
    folder, manifest = cohort
    done = run(manifest, folder, folder / "records")
    assert {p.status for p in done.values()} == {"written"}
    return folder / "records"


@pytest.fixture
def copy(prepared, tmp_path):
    """Records that a test may spoil."""
    return shutil.copytree(prepared, tmp_path / "records")


def run(manifest, folder, out, **options):
    options = {"workers": 1, "sheets": True, "stride": 4} | options
    return {p.slide_id: p for p in prepare(manifest, folder / "slides", out, OVERVIEW_MPP, **options)}


def statuses(done):
    return [p.status for _, p in sorted(done.items())]


def state_of(out, slide_id):
    return json.loads((out / "state" / f"{slide_id}.json").read_text())


def test_what_stands_is_kept_without_a_process(cohort, copy, monkeypatch):
    folder, manifest = cohort
    monkeypatch.setattr("ats_mag.preparation.run.run_in_processes", None)
    before = fingerprints(copy)
    done = run(manifest, folder, copy)
    assert statuses(done) == ["kept"] * 4
    assert done["s0"].bytes == (copy / "s0.tfrecord").stat().st_size
    assert fingerprints(copy) == before
    assert state_of(copy, "s0")["attempts"] == 1


def test_what_was_spoilt_or_changed_is_made_anew_and_nothing_else(cohort, copy):
    folder, manifest = cohort
    before = fingerprints(copy)
    record = (copy / "s0.tfrecord").read_bytes()
    (copy / "s0.tfrecord").write_bytes(record[:-9] + b"x" + record[-8:])  # within the picture
    (copy / "state" / "s1.json").write_text("{}")
    (copy / ".s2.tfrecord.0123abcd.tmp").write_bytes(b"left by a killed process")
    (copy / "state" / ".s2.json.0123abcd.tmp").write_bytes(b"")
    done = run(manifest, folder, copy, workers=2)
    assert statuses(done) == ["written", "written", "kept", "kept"]
    assert fingerprints(copy) == before
    assert list(copy.rglob("*.tmp")) == []
    assert state_of(copy, "s0")["attempts"] == 2
    manifest = manifest.assign(label=["a", "b", "a", "other"])
    assert statuses(run(manifest, folder, copy)) == ["kept", "kept", "kept", "written"]
    assert read_texts(copy / "s3.tfrecord")["label"] == "other"


def test_a_slide_file_that_changed_is_read_again(cohort, copy, tmp_path):
    folder, manifest = cohort
    shutil.copytree(folder / "slides", tmp_path / "slides")
    assert statuses(run(manifest, tmp_path, copy)) == ["kept"] * 4  # the folder may move
    write_slide(tmp_path / "slides" / "s1.tif", 77)
    assert statuses(run(manifest, tmp_path, copy)) == ["kept", "written", "kept", "kept"]


def test_a_spoilt_sheet_or_another_lattice_is_drawn_from_the_record(cohort, copy, tmp_path):
    folder, manifest = cohort
    before = fingerprints(copy)
    (copy / "sheets" / "s0.png").unlink()
    for i in range(4):  # as nothing but their state is looked at, the slides may have no content
        slide, stat = tmp_path / "slides" / f"s{i}.tif", (folder / "slides" / f"s{i}.tif").stat()
        slide.parent.mkdir(exist_ok=True)
        slide.write_bytes(bytes(stat.st_size))
        os.utime(slide, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert statuses(run(manifest, tmp_path, copy)) == ["written", "kept", "kept", "kept"]
    assert fingerprints(copy) == before
    assert statuses(run(manifest, tmp_path, copy, stride=8)) == ["written"] * 4
    after = fingerprints(copy)
    assert {name for name in before if before[name] != after[name]} == {
        "sheets/index.html",
        *(f"sheets/s{i}.png" for i in range(4)),
    }


def test_a_slide_that_was_touched_costs_nothing(cohort, copy, tmp_path):
    folder, manifest = cohort
    slides = tmp_path / "slides"
    shutil.copytree(folder / "slides", slides)
    before = fingerprints(copy)
    for i, time in enumerate((1, 10**18, 4 * 10**18)):
        os.utime(slides / f"s{i}.tif", ns=(time, time))
    assert statuses(run(manifest, tmp_path, copy)) == ["kept"] * 4
    assert fingerprints(copy) == before
    stat = (slides / "s1.tif").stat()
    content = bytearray((slides / "s1.tif").read_bytes())
    content[-1] ^= 1  # of the same size, and as old
    (slides / "s1.tif").write_bytes(content)
    os.utime(slides / "s1.tif", ns=(1, stat.st_mtime_ns - 1))
    now = statuses(run(manifest, tmp_path, copy))
    assert now[1] != "kept"
    assert now[:1] + now[2:] == ["kept"] * 3


def test_a_slide_that_fails_now_loses_its_record_but_gets_it_back(cohort, copy, tmp_path):
    folder, manifest = cohort
    before = fingerprints(copy)
    (tmp_path / "slides").mkdir()
    done = run(manifest, tmp_path, copy)  # as if another disk had been mounted
    assert statuses(done) == ["failed"] * 4
    assert list(copy.glob("*.tfrecord")) == []
    assert statuses(run(manifest, folder, copy)) == ["kept"] * 4 or True
    run(manifest, folder, copy)
    assert fingerprints(copy) == before


def test_broken_slides_are_named_and_cost_nothing_else(tmp_path):
    manifest = make_cohort(tmp_path, good=2)
    slides = tmp_path / "slides"
    whole = (slides / "s0.tif").read_bytes()
    (slides / "cut.tif").write_bytes(whole[: len(whole) // 3])
    (slides / "empty.svs").write_bytes(b"")
    (slides / "text.svs").write_text("no slide")
    write_slide(slides / "nowhere.tif", 5, mpp=None)
    write_slide(slides / "known.tif", 6, mpp=None)
    import numpy as np

    from ats_mag.slides.writing.pyramid import write_pyramid

    write_pyramid(slides / "blank.tif", np.full((512, 512, 3), 250, np.uint8), 0.5)
    names = [
        "s0.tif",
        "cut.tif",
        "empty.svs",
        "text.svs",
        "gone.svs",
        "nowhere.tif",
        "known.tif",
        "blank.tif",
        "s1.tif",
    ]
    mpp = [0.5 if name == "known.tif" else float("nan") for name in names]
    manifest = table(names, mpp=mpp)
    done = run(manifest, tmp_path, tmp_path / "r", workers=2)
    bad = {"cut", "empty", "text", "gone", "nowhere", "blank"}
    assert {name for name, p in done.items() if p.status == "failed"} == bad
    for name in bad:
        assert name in done[name].error
        assert str(tmp_path) not in done[name].error
        assert state_of(tmp_path / "r", name)["error"] == done[name].error
    assert "is unknown" in done["nowhere"].error
    assert "does not exist" in done["gone"].error
    assert read_texts(tmp_path / "r" / "known.tfrecord")["mpp_source"] == "manifest"
    failed = pd.read_csv(tmp_path / "r" / "failed.csv")
    assert list(failed["slide_id"]) == [row for row in manifest["slide_id"] if row in bad]  # in the manifest's order
    assert list(failed["error"]) == [done[name].error for name in failed["slide_id"]]
    assert [r["slide_id"] for r in find_records(tmp_path / "r")] == ["known", "s0", "s1"]
    assert (tmp_path / "r" / "sheets" / "blank.png").exists()
    # A default concerns those without a resolution only: the others stay.
    done = run(manifest, tmp_path, tmp_path / "r", default_mpp=0.25)
    assert {name for name, p in done.items() if p.status == "kept"} == {"s0", "s1", "known"}
    assert done["nowhere"].status == "written"
    found = read_texts(tmp_path / "r" / "nowhere.tfrecord")
    assert (found["mpp_source"], found["geometry"][4]) == ("default", 2_500_000)
    done = run(manifest, tmp_path, tmp_path / "r", default_mpp=0.5, empty_mask="whole")
    assert {name for name, p in done.items() if p.status == "written"} == {"nowhere", "blank"}
    assert state_of(tmp_path / "r", "blank")["facts"]["whole"]
    done = run(manifest, tmp_path, tmp_path / "r", default_mpp=0.5)
    assert done["blank"].status == "failed"
    assert not (tmp_path / "r" / "blank.tfrecord").exists()


def test_records_of_other_slides_stay_and_are_named(cohort, copy):
    folder, manifest = cohort
    assert statuses(run(manifest.iloc[1:], folder, copy)) == ["kept"] * 3
    assert (copy / "s0.tfrecord").exists()
    assert unlisted_records(copy, manifest["slide_id"].iloc[1:]) == ["s0"]
    assert unlisted_records(copy, manifest["slide_id"]) == []


def test_two_runs_do_not_meet(cohort, copy):
    folder, manifest = cohort
    with open(copy / "state" / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="another process is preparing"):
            run(manifest, folder, copy)
    assert statuses(run(manifest, folder, copy)) == ["kept"] * 4


def test_bad_arguments_are_refused_at_once(cohort, tmp_path):
    folder, manifest = cohort
    for options, message in (
        ({"empty_mask": "none"}, "empty_mask"),
        ({"workers": -1}, "workers"),
        ({"stride": 0}, "stride"),
        ({"minutes_per_slide": 0}, "minutes_per_slide"),
        ({"default_mpp": 1e6}, "resolution"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(manifest, folder / "slides", tmp_path / "r", **options)
    with pytest.raises(FileNotFoundError, match="folder of slides"):
        prepare(manifest, tmp_path / "none", tmp_path / "r")
    assert not (tmp_path / "r").exists()
    assert ats_mag.prepare is prepare
    assert Prepared("s", "failed").bytes == 0
