"""Kills predicting a cohort at random moments, runs it again, and compares what comes out with an undisturbed run.

    python tests/kill/predict_kills.py [--kills 20] [--seed 0] [--slides 300] [--model MODEL]

Small slides of many sizes are made and predicted by `ats-mag predict` with the model, or with an untrained one.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "prediction"), str(TESTS.parent)]

_SPREAD = 0.2  # seconds after a row was written within which the process is killed


def rows(out):
    """The complete rows that stand, by path; a slide that stands twice is an error."""
    if not out.exists():
        return {}
    text = out.read_bytes()
    found = list(csv.reader(text[: text.rfind(b"\n") + 1].decode().splitlines()))[1:]
    named = {row[0]: row for row in found}
    assert len(named) == len(found), "a row stands twice"
    return named


def kill_and_compare(command, folder, kills, seed, log=print):
    """Runs `command(out)` whole once, and killed again and again with another `out`; raises where they differ.

    Args:
        command: path of the CSV -> arguments of a process.
        folder: to write to.
        kills: how many.
        seed: of the moments.

    Returns:
        Numbers: `kills`, `finished` (runs that were finished after kills) and `kept_half_done` (kills after which some
        rows stood and others did not).
    """
    rng = random.Random(seed)
    whole = folder / "whole.csv"
    subprocess.run(command(whole), check=True, **_SILENT)
    expected = rows(whole)
    found = {"kills": 0, "finished": 0, "kept_half_done": 0}
    while found["kills"] < kills:
        out = folder / f"killed-{found['finished']}.csv"
        while found["kills"] < kills:
            before = rows(out)
            if not _kill_once(command(out), out, rng, len(expected)):
                break
            found["kills"] += 1
            after = rows(out)
            assert before.items() <= after.items(), "a row was lost or changed"
            found["kept_half_done"] += 0 < len(after) < len(expected)
            log(f"kill {found['kills']}: {len(after)} of {len(expected)} rows")
        subprocess.run(command(out), check=True, **_SILENT)
        assert rows(out) == expected, "an interrupted run's rows differ"
        names = sorted(path.name for path in folder.iterdir() if path.name.startswith((".", out.stem)))
        assert names == [out.name, f"{out.name}.model.json"], f"files were left: {names}"
        found["finished"] += 1
    return found


_SILENT = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}


def _kill_once(command, out, rng, slides):
    """Starts, waits for some more rows (or not even one) and a moment, kills; False where the run was over before."""
    wanted = len(rows(out)) + rng.choice((0, 1, 1, 2, 5, max(1, slides // 10)))
    process = subprocess.Popen(command, start_new_session=True, **_SILENT)
    while process.poll() is None and _lines(out) <= wanted:
        time.sleep(0.001)
    try:
        process.wait(rng.uniform(0, _SPREAD))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0, f"predicting ended with status {process.returncode}"
    return False


def _lines(out):
    return out.read_bytes().count(b"\n") if out.exists() else 0


def predict_stubs(folder, out):
    """What is killed in the quick test: everything but the model and the slide reader."""
    import stub_predictor

    import ats_mag.prediction.predictor
    from ats_mag.prediction import find_slides, predict_cohort

    ats_mag.prediction.predictor.Predictor = stub_predictor.StubPredictor
    for _ in predict_cohort(folder / "model.keras", find_slides([folder / "slides"]), out):
        pass


def stub_command(folder):
    """Of a folder with `slides` and `model.keras`, see `stub_predictor`."""
    return lambda out: [sys.executable, __file__, "--inside", str(folder), str(out)]


def make_slides(folder, count):
    """Small stained slides, no two of one size."""
    import numpy as np
    from skimage import data

    from ats_mag.slides.writing.pyramid import write_pyramid

    stained = data.immunohistochemistry()
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        height, width = (int(side) for side in rng.integers(600, 1400, 2))
        image = np.full((height, width, 3), 245, np.uint8)
        piece = stained[: height - 100, : width - 100]
        image[50 : 50 + piece.shape[0], 50 : 50 + piece.shape[1]] = piece
        write_pyramid(folder / f"s{i:03d}.tif", image, 0.5, (1, 4))


def make_model(path):
    """An untrained model."""
    from ats_mag.model.built_in_networks import attention_network, feature_network
    from ats_mag.model.classifier import SlideClassifier

    attention = attention_network(2, 4, (8, 8))
    SlideClassifier(
        ["a", "b"], attention=attention, feature=feature_network(32, 16, (8, 16)), patch_size=32, n_patches=4, overview_mpp=8.0
    ).save(path)  # fmt: skip
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slides", type=int, default=300, help="of the cohort that is made")
    parser.add_argument("--model", type=Path, help="a .keras file, or the folder of an export")
    parser.add_argument("--inside", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        predict_stubs(*options.inside)
        return
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_slides(folder / "slides", options.slides)
        model = options.model or make_model(folder / "model.keras")
        (folder / "out").mkdir()

        def command(out):
            return [
                sys.executable,
                "-m",
                "ats_mag.cli",
                "predict",
                str(model),
                str(folder / "slides"),
                "--out",
                str(out),
            ]

        found = kill_and_compare(command, folder / "out", options.kills, options.seed)
    print(f"{found['kills']} kills, no row of {options.slides} lost or doubled after {found['finished']} runs: {found}")


if __name__ == "__main__":
    main()
