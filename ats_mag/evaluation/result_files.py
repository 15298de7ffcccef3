"""How `evaluate` writes its results, and how they are read again.

Of each fold slides.csv, patients.csv, metrics.json and figures; of the run evaluation.json. `runs.layout` names their places.
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from ats_mag.system.atomic_files import whole_file, write_whole
from ats_mag.system.json_text import json_bytes
from ats_mag.system.kept_tables import read_kept


def write_table(table: pd.DataFrame, path: Path) -> None:
    """As CSV; numbers come back as they were."""
    with whole_file(path) as unfinished:
        table.to_csv(unfinished, index=False)


def read_table(path: Path) -> pd.DataFrame:
    """A table that `write_table` wrote: ids, labels and predictions are text, whatever they look like.

    Raises:
        ValueError: it is damaged.
    """
    text = dict.fromkeys(("slide_id", "patient_id", "label", "predicted"), str)
    mend = "run `ats-mag evaluate` again"
    found = read_kept(path, ["label"], mend, dtype=text, keep_default_na=False, float_precision="round_trip")
    for name in found.columns[found.columns.str.match(r"(p|sd)_")]:
        found[name] = pd.to_numeric(found[name], errors="coerce")  # an empty field is NaN
    return found


def write_json(values: object, path: Path) -> None:
    """As JSON; NaN, which JSON does not have, becomes null."""
    write_whole(path, json_bytes(_plain(values)))


def _plain(values: object) -> object:
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return None if isinstance(values, float) and math.isnan(values) else values
