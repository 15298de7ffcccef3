"""Preparing goes on whatever dies: its processes, all of them at once, or workers of a Dask cluster."""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from made_cohort import OVERVIEW_MPP, add_pipes, fingerprints, make_cohort, prepare_or_wait

from ats_mag.preparation import prepare

sys.path.append(str(Path(__file__).resolve().parents[1] / "kill"))

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.processes]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Slides, their manifest, and what an undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("cohort")
    manifest = make_cohort(folder, 5)
    assert {p.status for p in run(folder, manifest, folder / "whole", workers=1)} == {"written"}
    return folder, manifest, fingerprints(folder / "whole")


def run(folder, manifest, out, **options):
    return prepare(manifest, folder / "slides", out, OVERVIEW_MPP, sheets=True, stride=4, **options)


def status(out, slide_id):
    path = out / "state" / f"{slide_id}.json"
    found = json.loads(path.read_text()) if path.exists() else {"status": "new", "attempts": 0}
    return found["status"], found["attempts"]


def when(condition, act):
    """A thread that acts as soon as a condition holds."""

    def watch():
        while not condition():
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def kill_children():
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)


@pytest.mark.long
def test_a_process_that_dies_costs_its_slide_only_and_that_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("ats_mag.preparation.run.prepare_slide", prepare_or_wait)
    make_cohort(tmp_path, 3)
    slides, out = tmp_path / "slides", tmp_path / "r"
    os.rename(slides / "s2.tif", tmp_path / "later.tif")
    manifest = add_pipes(tmp_path, "s2", "stuck")

    def both_wait_alone():
        return all(status(out, name)[0] == "started" for name in ("s2", "stuck")) and all(
            status(out, name)[0] == "done" for name in ("s0", "s1")
        )

    def mend_one_and_kill():
        os.replace(tmp_path / "later.tif", slides / "s2.tif")
        kill_children()

    first = when(both_wait_alone, mend_one_and_kill)
    second = when(lambda: status(out, "stuck") == ("started", 2), kill_children)
    done = {p.slide_id: p for p in run(tmp_path, manifest, out, workers=4)}
    first.join(1)
    second.join(1)
    assert {name: p.status for name, p in done.items()} == {
        "s0": "written",
        "s1": "written",
        "s2": "written",
        "stuck": "failed",
    }
    assert "the process that read it died (signal 9" in done["stuck"].error
    assert status(out, "s2") == ("done", 2)
    assert status(out, "stuck") == ("failed", 2)


@pytest.mark.long
def test_a_slide_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("ats_mag.preparation.run.prepare_slide", prepare_or_wait)
    make_cohort(tmp_path, 1)
    manifest = add_pipes(tmp_path, "stuck")
    done = {p.slide_id: p for p in run(tmp_path, manifest, tmp_path / "r", workers=1, minutes_per_slide=0.1)}
    assert done["s0"].status == "written"
    assert "longer than 0.1 minutes" in done["stuck"].error
    assert multiprocessing.active_children() == []


@pytest.mark.long
def test_who_stops_listening_leaves_no_process_and_loses_nothing(cohort, tmp_path):
    folder, manifest, expected = cohort
    slides = run(folder, manifest, tmp_path / "r", workers=2)
    next(slides)
    slides.close()
    assert multiprocessing.active_children() == []
    assert [p.status for p in run(folder, manifest, tmp_path / "r", workers=2)].count("kept") >= 1
    assert fingerprints(tmp_path / "r") == expected


@pytest.mark.long
def test_killing_all_at_random_moments_changes_no_byte():
    import tempfile

    from prepare_kills import _from_python, kill_and_compare

    with tempfile.TemporaryDirectory() as scratch:
        cohort = Path(scratch) / "cohort"
        make_cohort(cohort, 10).to_csv(cohort / "manifest.csv", index=False)
        found = kill_and_compare(*_from_python(cohort), kills=2, seed=1)
    assert found["kills"] == 2
    assert found["finished"] >= 1


@pytest.mark.long
def test_unguarded_scripts_are_told_so(cohort, tmp_path):
    import subprocess

    folder, manifest, _ = cohort
    manifest.to_pickle(tmp_path / "m.pkl")
    script = tmp_path / "script.py"
    script.write_text(
        "import pandas as pd\nfrom ats_mag.preparation import prepare\n"
        f"list(prepare(pd.read_pickle({str(tmp_path / 'm.pkl')!r}), {str(folder / 'slides')!r}, {str(tmp_path / 'r')!r}))"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert '__name__ == "__main__"' in done.stderr.splitlines()[-1]
