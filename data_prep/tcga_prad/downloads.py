"""The slides that gdc-client downloads: which there are, which are taken, and whether they are whole."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd

from ats_mag.system.tables import read_frame

# Project, tissue source site, participant; sample type and vial; portion; slide kind and its number or letter.
_SLIDE = re.compile(r"(TCGA-(\w{2})-\w{4})-(\d{2})([A-Z])-(\d{2})-(DX|TS|BS|MS)(\w*)\..*", re.IGNORECASE)
_TUMOUR = range(1, 10)  # sample types of tumour tissue; 10 to 19 are normal
KINDS = {"DX": "diagnostic", "TS": "frozen, top", "BS": "frozen, bottom", "MS": "frozen, middle"}


class Choice(StrEnum):
    """Which slides of a patient."""

    all = "all"
    first = "first"


def read_gdc_manifest(file: Path) -> pd.DataFrame:
    """The slides of a manifest of gdc-client: id, filename, md5, size, and what the file name says.

    Returns:
        Beside the manifest's columns `patient_id`, `site`, `sample` (number of the sample type), `kind` (DX, TS, ...) and
        `number`; these are empty where the name is none of a TCGA slide.

    Raises:
        FileNotFoundError, ValueError: no such file, not of this form, or a file named twice.
    """
    if not file.is_file():
        raise FileNotFoundError(f"GDC manifest {str(file)!r} does not exist")
    table = read_frame(file)
    missing = [name for name in ("id", "filename", "md5", "size") if name not in table]
    if missing:
        raise ValueError(
            f"GDC manifest {str(file)!r} lacks the column(s) {', '.join(missing)}; it has {', '.join(table)}. "
            "Take the one that the portal offers for gdc-client"
        )
    if not table["size"].str.fullmatch(r"\d+").all():
        raise ValueError(f"GDC manifest {str(file)!r} has a size that is no number of bytes: download it again")
    double = table["filename"][table["filename"].duplicated()]
    if len(double):
        raise ValueError(f"GDC manifest {str(file)!r} names {double.iloc[0]!r} twice: remove one line")
    parts = table["filename"].str.extract(_SLIDE.pattern, flags=re.IGNORECASE).fillna("")
    parts.columns = pd.Index(["patient_id", "site", "sample", "vial", "portion", "kind", "number"])
    parts = parts.apply(lambda column: column.str.upper())
    return pd.concat([table, parts[["patient_id", "site", "sample", "kind", "number"]]], axis=1)


def find_problem(slides: Path, row: Any, check_md5: bool) -> tuple[str, str | None]:
    """Where a slide is, relative to the folder of all, and what is wrong with it, if anything is."""
    places = [Path(row.id) / row.filename, Path(row.filename)]
    path = next((place for place in places if (slides / place).is_file()), None)
    if path is None:
        half = (slides / places[0]).with_name(row.filename + ".partial").exists()
        return str(places[0]), "its download is incomplete" if half else "is missing"
    size = (slides / path).stat().st_size
    if size != int(row.size):
        return str(path), f"has {size} bytes instead of {row.size}"
    if check_md5:
        with open(slides / path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != row.md5:
            return str(path), f"has the MD5 {found} instead of {row.md5}"
    return str(path), None


def choose(table: pd.DataFrame, kind: str, choice: Choice) -> tuple[pd.DataFrame, Counter[str]]:
    """The slides of one kind and of tumour tissue, all or the first of each patient; and why the others are not taken."""
    reasons: Counter[str] = Counter()

    def keep(rows: pd.DataFrame, wanted: pd.Series, reason: str) -> pd.DataFrame:
        if not wanted.all():
            reasons[reason] += int((~wanted).sum())
        return rows[wanted]

    table = keep(table, table["patient_id"] != "", "not named as TCGA slides are")
    for other, name in KINDS.items():
        if other != kind:
            table = keep(table, table["kind"] != other, f"{name} sections ({other})")
    table = keep(table, table["sample"].astype(int).isin(_TUMOUR), "of normal tissue")
    order = table["number"].str.zfill(4)
    table = table.assign(order=order).sort_values(["patient_id", "order", "filename"]).drop(columns="order")
    if choice is Choice.first:
        table = keep(table, ~table["patient_id"].duplicated(), "further slides of their patients")
    return table, reasons
