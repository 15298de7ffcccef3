"""Kills preparing with all its processes at random moments, runs it again, and compares what comes out.

    python tests/kill/prepare_kills.py [--kills 20] [--seed 0] [--config CONFIG]

Without a configuration, a small cohort is made and prepared from Python; with one, `ats-mag prepare CONFIG` is killed, in a
copy of it whose run is a folder of its own.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

from made_cohort import OVERVIEW_MPP, fingerprints, make_cohort  # noqa: E402

_SPREAD = 1.5  # seconds after a slide was begun or done within which all are killed


def prepare_all(folder, out):
    """What is killed: two processes over the slides of a folder."""
    import pandas as pd

    from ats_mag.preparation import prepare

    text = dict.fromkeys(("slide_id", "patient_id", "path", "label", "split"), str)
    manifest = pd.read_csv(folder / "manifest.csv", dtype=text, keep_default_na=False, na_values={"mpp": ""})
    for _ in prepare(manifest, folder / "slides", out, OVERVIEW_MPP, 2, sheets=True, stride=4):
        pass


def states(records):
    """Slide id -> status and attempts; a state is always whole."""
    found = [json.loads(file.read_text()) for file in (records / "state").glob("[!.]*.json")]
    return {state["slide_id"]: (state["status"], state["attempts"]) for state in found}


def done_slides(records):
    return {slide_id for slide_id, (status, _) in states(records).items() if status == "done"}


def kill_and_compare(command, records, kills, seed, log=print):
    """Runs `command(folder)` whole in one folder, and killed again and again in others; raises where they differ.

    Args:
        command: folder -> arguments of a process.
        records: folder -> where its records are then.
        kills: how many.
        seed: of the moments.

    Returns:
        Numbers: `kills`, `finished` (runs that were finished after kills) and `kept_half_done` (kills after which some
        slides were done and others were not).
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        subprocess.run(command(whole), check=True, stderr=subprocess.DEVNULL)
        expected = fingerprints(records(whole))
        slides = len(done_slides(records(whole)))
        found = {"kills": 0, "finished": 0, "kept_half_done": 0}
        while found["kills"] < kills:
            folder = Path(scratch) / f"killed-{found['finished']}"
            while found["kills"] < kills and _kill_once(command(folder), records(folder), rng):
                found["kills"] += 1
                done = len(done_slides(records(folder)))
                found["kept_half_done"] += 0 < done < slides
                log(f"kill {found['kills']}: {done} of {slides} slides done")
            before = [records(folder) / f"{slide_id}.tfrecord" for slide_id in done_slides(records(folder))]
            stamps = {path: path.stat().st_mtime_ns for path in before}
            subprocess.run(command(folder), check=True, stderr=subprocess.DEVNULL)
            assert fingerprints(records(folder)) == expected, "an interrupted run's files differ"
            for path, stamp in stamps.items():
                assert path.stat().st_mtime_ns == stamp, f"{path.name} was made again"
            assert not list(records(folder).rglob("*.tmp")), "unfinished files were left"
            found["finished"] += 1
    return found


def _kill_once(command, records, rng):
    """Starts, waits for a moment and a random while more, kills; False where the run was over before.

    The moment is the start (of Python, TensorFlow and the processes), or when a slide was begun, or done.
    """
    moment = rng.choices((None, _attempts, lambda folder: len(done_slides(folder))), (1, 3, 6))[0]
    wait = rng.uniform(0, 8 if moment is None else _SPREAD)
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    before = moment and moment(records)
    while moment and process.poll() is None and moment(records) == before:
        time.sleep(0.005)
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0, f"preparing ended with status {process.returncode}"
    return False


def _attempts(records):
    return sum(attempts for _, attempts in states(records).values())


def _command_line(config):
    """`ats-mag prepare`, for a run in any folder, and where its records are."""
    import yaml

    values = yaml.safe_load(config.read_text()) or {}
    data = values.get("data") or {}
    for key, default in (("slides", "slides"), ("manifest", "manifest.csv")):
        data[key] = str(config.resolve().parent / data.get(key, default))

    def command(folder):
        folder.mkdir(exist_ok=True)
        asked = {**values, "data": data, "run": "run", "prepare": {**(values.get("prepare") or {}), "records": None}}
        (folder / "config.yaml").write_text(yaml.safe_dump(asked))
        return [sys.executable, "-m", "ats_mag.cli", "prepare", str(folder / "config.yaml")]

    return command, lambda folder: folder / "run" / "records"


def _from_python(cohort):
    def command(folder):
        return [sys.executable, __file__, "--inside", str(cohort), str(folder)]

    return command, lambda folder: folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slides", type=int, default=12, help="of the cohort that is made")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--inside", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        prepare_all(*options.inside)
        return
    with tempfile.TemporaryDirectory() as scratch:
        if options.config:
            ways = _command_line(options.config)
        else:
            cohort = Path(scratch) / "cohort"
            make_cohort(cohort, options.slides).to_csv(cohort / "manifest.csv", index=False)
            ways = _from_python(cohort)
        found = kill_and_compare(*ways, options.kills, options.seed)
    print(f"{found['kills']} kills, the same bytes after each of {found['finished']} finished runs: {found}")


if __name__ == "__main__":
    main()
