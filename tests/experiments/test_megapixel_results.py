"""Megapixel MNIST's table and figure, of made-up result files."""

import json

import pytest

from experiments.megapixel import results


def made_run(method, seed, errors):
    tests = [
        {
            "epoch": (i + 1) / 2,
            "seconds": 9.0,
            "processor_seconds": 4.0 * (i + 1),
            "test_error": error,
            "attention_on_digits": 0.5 + seed / 10,
        }
        for i, error in enumerate(errors)
    ]
    return {"configuration": {"method": method, "seed": seed}, "tests": tests}


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "megapixel"
    out.mkdir()
    made = [("priority", 0, [0.9, 0.5, 0.6, 0.2]), ("priority", 1, [0.9, 0.8, 0.7, 0.6])]
    for method, seed, errors in [*made, ("sequential", 0, [0.9, 0.7, 0.4, 0.3])]:
        (out / f"{method}-seed{seed}.json").write_text(json.dumps(made_run(method, seed, errors)))
    return tmp_path


def test_epochs_to_an_error():
    run = made_run("priority", 0, [0.9, 0.5, 0.6, 0.2])
    assert results.epochs_to(run) == 1.0  # the first test, though a later one is above it again
    assert results.epochs_to(run, 0.25) == 2.0
    assert results.epochs_to(run, 0.1) is None


def test_rows_of_what_was_run(folder):
    _, _, *rows = results.table(folder).splitlines()
    assert rows == [
        "| sequential | 1.5 | 0.300 (one seed) | 0.50 |",
        "| priority | 1.0, not reached | 0.400 (0.200 to 0.600) | 0.55 |",
    ]


def test_nothing_was_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="megapixel"):
        results.table(tmp_path)


def test_figure(folder, tmp_path):
    results.figure(tmp_path / "curves.png", folder)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
