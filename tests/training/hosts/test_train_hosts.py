"""Trainings in two and in four processes end as one process does, and read every slide once per epoch."""

import numpy as np
import pandas as pd
import pytest
from kill.host_processes import train
from made_run import prepare_slides, write_config, write_slides

SLIDES = [f"s{i}" for i in range(7)]
STEPS = {"epochs": 10, "batch_size": 4, "augment": {"flips": False}, "monitor": "val_loss", "patience": 4}
FROZEN = {"encoder": "efficientnet-lite0", "encoder_size": 32, "adapter": 16}
CASES = {
    "adam": (None, {}),
    "clipped and accumulated": (None, {"clip_norm": 0.05, "accumulate": 2}),
    "with bad slides": (None, {"on_bad_slide": "skip", "max_bad_slides": 3, "epochs": 3}),
    "frozen": (FROZEN, {"epochs": 3, "hold_attention": 0.0}),
    "learning": ({**FROZEN, "trainable": "last-1-blocks"}, {"epochs": 3, "encoder_learning_rate": 1e-4}),
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Slides of one size, so that a batch is padded alike whoever has it; one of them was damaged when it had been prepared."""
    folder = tmp_path_factory.mktemp("hosts")
    for name in ("whole", "damaged"):
        write_slides(folder / name, sizes=((640, 512),))
        prepare_slides(folder / name)
    (folder / "damaged" / "slides" / "s3.tif").write_bytes(b"no slide any more")
    return folder


def runs_of(cohort, count):
    """The configurations of all cases for so many processes, by name."""
    found = {}
    for name, (model, settings) in CASES.items():
        slides = cohort / ("damaged" if "bad" in name else "whole")
        found[name] = write_config(slides, slides / f"{name} {count}", model, **(STEPS | settings))
    return found


def results(config, index=0):
    run = config.with_suffix("")
    with np.load(run / f"weights-{index}.npz") as stored:
        weights = [stored[name] for name in stored.files]
    return weights, pd.read_csv(run / f"history-{index}.csv")


@pytest.fixture(scope="module")
def trained(cohort):
    found = {count: runs_of(cohort, count) for count in (1, 2, 4)}
    for count, configs in found.items():
        train(count, *configs.values())
    return found


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [2, 4])
def test_processes_train_as_one(trained, count, case):
    """Batches of 4 and 3 slides: with four processes one of them has none of the last."""
    one, history = results(trained[1][case])
    for index in range(count):
        weights, logs = results(trained[count][case], index)
        for a, b in zip(weights, one, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        pd.testing.assert_frame_equal(logs, history, rtol=1e-4, atol=1e-5)
    first, second = (results(trained[count][case], index) for index in (0, 1))
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(first[1], second[1], check_exact=True)
    runs = [trained[n][case].with_suffix("") / "fold-0" for n in (1, count)]
    assert sorted(p.name for p in runs[0].iterdir()) == sorted(p.name for p in runs[1].iterdir())
    stored = [pd.read_csv(run / "history.csv") for run in runs]
    pd.testing.assert_frame_equal(*stored, rtol=1e-4, atol=1e-5)
    if "bad" in case:
        tables = [pd.read_csv(run / "bad_slides.csv") for run in runs]
        pd.testing.assert_frame_equal(*tables)
        assert list(tables[0]["slide_id"]) == ["s3"]


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 4])
def test_every_slide_is_read_once_per_epoch(trained, count):
    run = trained[count]["adam"].with_suffix("")
    seen = [pd.read_csv(run / f"seen-{k}.csv", names=["epoch", "batch", "slides"]) for k in range(count)]
    for table in seen:
        assert len(table) == len(seen[0])
    for _, epoch in pd.concat(seen).groupby("epoch"):
        batches = [";".join(rows["slides"]).split(";") for _, rows in epoch.groupby("batch")]
        assert [len(set(batch)) for batch in batches] == [4, 3]
        assert sorted(slide for batch in batches for slide in set(batch)) == SLIDES
        # Nothing is read twice but what fills a device that would have nothing to compute on.
        assert [len(batch) for batch in batches] == [4, 4 if count == 4 else 3]
