"""Tables of the slides of three scales, from made-up result files."""

import json

import numpy as np
import pytest

from experiments.common.seeds_and_slides import mean_interval
from experiments.ratios import tables as ratios
from experiments.three_scales import results, tables

TRUTH = [0, 1] * 10


def write(folder, contestant, seed, wrong, accuracies):
    predicted = np.array(TRUTH)
    predicted[:wrong] = 1 - predicted[:wrong]
    history = [
        {"epoch": i, "validation_accuracy": a, "validation_loss": 1 - a, "processor_seconds": 2.0 * i}
        for i, a in enumerate(accuracies, start=1)
    ]
    run = {
        "configuration": {"contestant": contestant, "settings": {"seed": seed}, "slides": {"train": 20}},
        "peak_mib": 1536,
        "test": {"auc": 0.9},
        "test_labels": TRUTH,
        "test_probabilities": np.eye(2)[predicted].tolist(),
        "history": history,
        "patches_per_slide": 15,
        "cells_per_slide": 600.0,
    }
    folder = folder / "three-scales"
    folder.mkdir(exist_ok=True)
    (folder / f"{contestant.replace(', ', '-').replace(' ', '-')}-seed{seed}.json").write_text(json.dumps(run))


@pytest.fixture
def folder(tmp_path):
    for seed in (0, 1):
        write(tmp_path, results.JOINT, seed, 0, [0.5, 0.9, 1.0])
        write(tmp_path, "single, 0.5 um-px", seed, 6, [0.5, 0.6, 0.6])
        write(tmp_path, "single, 2 um-px", seed, 8 + seed, [0.6 - 0.2 * seed, 0.7 - 0.2 * seed, 0.6 - 0.01 * seed])
        write(tmp_path, "single, 8 um-px", seed, 10, [0.5, 0.5, 0.5])
    return tmp_path


def test_the_sweep_chooses_by_validation_and_not_by_the_test(folder):
    chosen = results.runs_by_contestant(folder)[results.SWEEP]
    assert {seed: run["configuration"]["contestant"] for seed, run in chosen.items()} == {
        0: "single, 2 um-px",
        1: "single, 0.5 um-px",
    }


def test_accuracy(folder):
    lines = tables.accuracy(folder).splitlines()
    cells = {line.split(" | ")[0].strip("| "): [c.strip(" |") for c in line.split(" | ")[1:]] for line in lines[2:]}
    assert cells[results.JOINT][:1] == ["2"]
    assert cells[results.JOINT][1] == "1.000 (1.000 to 1.000)"
    assert cells["single, 0.5 um/px"][1].startswith("0.700 (")
    assert cells["single, 0.5 um/px"][4] == "2.5 %"
    assert cells["single, 0.5 um/px"][5].startswith("+0.300 (+")
    assert cells[results.SWEEP][5].startswith("+0.350 (+")
    assert list(cells) == [results.JOINT, results.SWEEP, *(f"single, {m} um/px" for m in ("0.5", "2", "8"))]
    assert tables.summary(folder).splitlines() == lines[:4]


def rows_of(table):
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()[2:]]


def test_kinds_come_in_turn(folder):
    rows = {row[0]: row[1:] for row in rows_of(tables.by_kind(folder))}
    assert rows[results.JOINT] == ["1.00 (1.00 to 1.00)"] * 3
    wrong = [(2, 7), (2, 7), (2, 6)]  # of 20 slides the first six
    assert rows["single, 0.5 um/px"] == [f"{1 - n / of:.2f} ({1 - n / of:.2f} to {1 - n / of:.2f})" for n, of in wrong]


def test_the_sweep_ends_at_its_best_and_joint_where_it_reaches_that(folder):
    steps = {"joint": 0.25, "single, 0.5 um/px": 0.1, "single, 2 um/px": 0.2, "single, 8 um/px": 0.1}
    seconds = {name: {"median": value} for name, value in steps.items()}
    (folder / "ratios-training.json").write_text(json.dumps({"seconds": seconds}))
    first = rows_of(ratios.time_to_accuracy(folder))[0]
    assert first == ["0", "0.650", "3, 2, 1", "2", "1.6", "1.4", "0.800"]  # of means over three epochs


def test_cost(folder):
    lines = rows_of(tables.cost(folder))
    assert lines[:2] == [
        [results.JOINT, "100", "1.5", "2, 2"],
        ["single, 0.5 um/px", "100", "1.5", "2, 2"],
    ]
    assert lines[2][3] == "1, not reached"


def test_an_interval_holds_what_seeds_and_slides_allow():
    rng = np.random.default_rng(0)
    values = (rng.random((3, 100)) < 0.8).astype(float)
    mean, low, high = mean_interval(values)
    assert low < mean < high
    assert 0.03 < high - low < 0.3
    assert mean_interval(np.ones((2, 5))) == (1, 1, 1)


def test_epochs_to_an_accuracy():
    history = [{"epoch": i + 1, "validation_accuracy": a} for i, a in enumerate((0.5, 0.5, 0.8, 1.0, 1.0))]
    run = {"history": history}
    np.testing.assert_allclose(results.smooth(run), [0.5, 0.5, 0.6, 2.3 / 3, 2.8 / 3])
    assert ratios.epochs_to(results.smooth(run), 0.6) == 3
    assert ratios.epochs_to(results.smooth(run), 0.99) == 6
    np.testing.assert_allclose(results.smooth({"history": history[1::2]}), [0.5, 0.75], err_msg="every second epoch")


def test_nothing_measured_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="three-scales"):
        tables.accuracy(tmp_path)
