"""What evaluating takes from a run's folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ats_mag.cohort.manifest import load_manifest
from ats_mag.cohort.splits import FILE, fold_names, load_splits, part_of
from ats_mag.config.schema import RunConfig


def stored_splits(config: RunConfig) -> pd.DataFrame:
    """The division that the run was trained on, checked against the manifest; see `load_splits`.

    Raises:
        FileNotFoundError: the run has none yet.
        ManifestError, SplitError: see `load_manifest` and `load_splits`.
    """
    path = config.run / FILE
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist, nothing was trained: run `ats-mag train` first")
    return load_splits(config, load_manifest(config))


def fold_numbers(splits: pd.DataFrame) -> list[int]:
    """The folds that the splits have."""
    return list(range(len(fold_names(splits))))


def test_slides(splits: pd.DataFrame, fold: int) -> pd.DataFrame:
    """`slide_id`, `patient_id` and `label` of a fold's test slides.

    Raises:
        ValueError: there is no such fold.
    """
    chosen = splits["slide_id"].isin(part_of(splits, fold, "test"))
    return splits.loc[chosen, ["slide_id", "patient_id", "label"]]


def fold_folder(config: RunConfig, fold: int, folder: Path | None = None) -> Path:
    """Folder of a fold's results, in `folder` or, where None, in the run's."""
    return (folder or config.run) / f"fold-{fold}"


def model_file(config: RunConfig, fold: int) -> Path:
    """The trained model of a fold.

    Raises:
        FileNotFoundError: the fold is not trained.
    """
    path = fold_folder(config, fold) / "model.keras"
    if not path.exists():
        raise FileNotFoundError(
            f"fold {fold} has no trained model, {str(path)!r} does not exist: run `ats-mag train` with this configuration"
        )
    return path
