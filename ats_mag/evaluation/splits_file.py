"""Which slides a fold's model is measured on."""

from __future__ import annotations

import pandas as pd

from ats_mag.config import RunConfig


def read_splits(config: RunConfig) -> pd.DataFrame:
    """The run's `splits.csv`, as text.

    Raises:
        FileNotFoundError: the run has none yet.
    """
    path = config.run / "splits.csv"
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist: run `ats-mag train` with this configuration first")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def fold_numbers(splits: pd.DataFrame) -> list[int]:
    """The folds that the splits have."""
    return [int(name.removeprefix("fold_")) for name in map(str, splits) if name.startswith("fold_")]


def test_slides(config: RunConfig, fold: int) -> pd.DataFrame:
    """`slide_id`, `patient_id` and `label` of a fold's test slides.

    Raises:
        FileNotFoundError: the run has no splits yet.
        ValueError: it has no such fold.
    """
    splits = read_splits(config)
    folds = fold_numbers(splits)
    if fold not in folds:
        known = ", ".join(map(str, folds))
        raise ValueError(f"{str(config.run / 'splits.csv')!r} has no fold {fold}; its folds are {known}")
    return splits.loc[splits[f"fold_{fold}"] == "test", ["slide_id", "patient_id", "label"]]
