"""`ats-mag prepare`: what it says, what it leaves, and its exit status."""

import pandas as pd
import pytest
import yaml
from made_cohort import make_cohort
from typer.testing import CliRunner

from ats_mag.cli import app
from ats_mag.preparation.job import Outcome

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def project(tmp_path):
    """`write(prepare=..., data=...)` -> the configuration of two good slides and two broken ones."""
    manifest = make_cohort(tmp_path, 2)
    (tmp_path / "slides" / "empty.svs").write_bytes(b"")
    extra = manifest.assign(slide_id=["empty", "gone"], path=["empty.svs", "gone.svs"], patient_id=["q0", "q1"])
    rows = pd.concat([manifest, extra])
    rows = rows.assign(split=["train", "test", "train", "test"])
    rows.to_csv(tmp_path / "manifest.csv", index=False)

    def write(**prepare):
        values = {
            "data": {"slides": "slides", "manifest": "manifest.csv"},
            "splits": {"kind": "manifest"},
            "prepare": {"workers": 1, **prepare},
            "model": {"stride": 4},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
        return tmp_path / "config.yaml"

    return write


def ats_mag(*arguments):
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)])


@pytest.mark.processes
def test_broken_slides_are_told_and_decide_the_status_as_configured(project, tmp_path):
    done = ats_mag(project(overview_mpp=16.0))
    assert done.exit_code == 1, done.output
    assert "4 slides: 2 written, 0 kept, 2 failed" in done.output
    assert "empty: cannot open slide" in done.stderr
    assert "gone: slide 'gone.svs' does not exist" in done.stderr
    assert "prepare.on_bad_slide: skip" in done.stderr
    assert "prepared 4/4, 2 failed" in done.stderr
    records = tmp_path / "run" / "records"
    assert list(pd.read_csv(records / "failed.csv")["slide_id"]) == ["empty", "gone"]
    assert (records / "sheets" / "index.html").exists()


def test_a_record_that_stands_is_kept_and_a_broken_slide_tried_again(project, tmp_path):
    assert ats_mag(project(overview_mpp=16.0)).exit_code == 1
    records = tmp_path / "run" / "records"
    (records / "old.tfrecord").write_bytes(b"of another manifest")
    done = ats_mag(project(overview_mpp=16.0, on_bad_slide="skip", sheets=False), "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "4 slides: 0 written, 2 kept, 2 failed" in done.output
    assert "1 records are of slides that are not in the manifest: old" in done.stderr
    assert "index.html" not in done.stdout


def test_what_looks_wrong_in_the_manifest_is_said_first(project, tmp_path):
    config = project(overview_mpp=16.0, sheets=False, on_bad_slide="skip")
    rows = pd.read_csv(tmp_path / "manifest.csv")
    rows.assign(patient_id=rows["patient_id"].replace("q0", "P0")).to_csv(tmp_path / "manifest.csv", index=False)
    done = ats_mag(config)
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("note: the patients 'P0' (line 4) and 'p0' (line 2) differ only")


def test_that_all_slides_failed_is_no_success(project, tmp_path, monkeypatch):
    """Also where bad slides are skipped: it is the disk, or the path, that is wrong."""

    def fail(work, jobs, *_):
        return ((job, Outcome(error="no disk")) for job in jobs)

    monkeypatch.setattr("ats_mag.preparation.run.run_in_processes", fail)
    done = ats_mag(project(on_bad_slide="skip"))
    assert done.exit_code == 1, done.output
    assert "4 slides: 0 written, 0 kept, 4 failed" in done.output
    assert "not one slide could be prepared" in done.stderr


def test_what_is_wrong_with_the_arguments_is_said_before_anything_starts(project, tmp_path):
    config = project(overview_mpp=16.0)
    config.write_text(config.read_text().replace("overview_mpp", "overview_mmp"))
    done = ats_mag(config)
    assert done.exit_code == 1
    assert "unknown key 'prepare.overview_mmp'" in str(done.exception)
    assert ats_mag(tmp_path / "none.yaml").exit_code == 1
    assert not (tmp_path / "run").exists()
