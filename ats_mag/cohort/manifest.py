"""The table of slides: which file, which patient, which label."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from ats_mag.cohort.columns import ALIASES, PART_OF, find_columns, names_columns
from ats_mag.cohort.doubtful_values import doubts, is_missing, wrong_value
from ats_mag.cohort.label_sets import MULTI_LABEL, label_parts
from ats_mag.cohort.locate import locate
from ats_mag.cohort.spellings import people_order
from ats_mag.geometry.units import parse_slide_mpp
from ats_mag.slides.slide_folder import SlideFolder, stem_of
from ats_mag.system.tables import TableError, find_table

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig

COLUMNS = ("slide_id", "patient_id", "path", "label", "mpp", "split", "site")
NEEDED = ("slide_id", "patient_id", "path", "label")
_LONGEST_ID = 200  # bytes: ids become names of files


class ManifestError(ValueError):
    """A manifest that cannot be used; the message names the file, the row and the mend."""


class Beside(NamedTuple):
    """What a manifest and its folder of slides do not have in common.

    Attributes:
        not_in_table: slides of the folder that the table does not name, relative to the folder.
        not_in_folder: ids of slides whose file is not there.
    """

    not_in_table: list[str]
    not_in_folder: list[str]


def read_manifest(
    path: str | os.PathLike[str],
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    slides: str | os.PathLike[str] | None = None,
    labelled: bool = True,
) -> pd.DataFrame:
    """Reads and checks a manifest, CSV (commas, semicolons or tabs) or XLSX (the first sheet that names its columns).

    A slide has an id, a patient, a path (relative to the slide root, or absolute), a label; optionally `mpp` (um/px or
    "20x"; empty: the file's own), `split` and `site`. Columns may have the names of `columns.ALIASES`, in any
    case. Of id and path one is enough: the id is then the file's name without its suffix, the path is the id. Without a
    column of patients, every slide counts as a patient of its own. Other columns are kept.

    Args:
        path: the file.
        columns: our names of columns to the table's, where they are none that are known, or several are.
        labels: the table's labels to classes; slides of others are left out and counted. A set of labels, "a;b", is
            mapped part by part. None: labels are the classes.
        slides: folder of the slides. Paths of which there is no file are then looked up in it, in its subfolders too, by
            their file name, with or without its suffix; such of another machine or another case are found, too, and noted. One
            that is not found stays as it is, see `compare_folder`.
        labelled: whether every slide must have a label; slides that are only predicted need none.

    Returns:
        A table with a row per slide, its columns text, but `mpp` float (NaN: the file's own). Its `attrs` hold `notes`, a
        list of what had to be assumed or looks wrong, and `left_out`, the counts of slides left out by label.

    Raises:
        ManifestError: an unreadable file, a missing or ambiguous column, an empty value or an error of a spreadsheet, dates
            among labels, an id or a stem that stands twice, an absurd mpp, a patient in two splits, or a path that several
            files of the folder answer to.
        NotADirectoryError: `slides` is not there.
    """
    try:
        names, rows, notes = find_table(Path(path), lambda cells: names_columns(cells, columns, labelled))
        found = find_columns({name: [row[i] for _, row in rows] for i, name in enumerate(names)}, columns)
    except TableError as error:
        raise ManifestError(f"manifest {error}") from error
    except ValueError as error:
        raise ManifestError(f"manifest {str(path)!r}: {error}") from error
    table = pd.DataFrame([row for _, row in rows], columns=names, index=[line for line, _ in rows], dtype=object)
    table, assumed = _with_our_names(table, found)
    notes += assumed if labelled else []
    where = f"manifest {str(path)!r}"
    needed = tuple(name for name in NEEDED if labelled or name != "label")
    if not labelled and "label" not in table:
        table["label"] = ""
    _check_columns(where, table, found, names)
    left_out: dict[str, int] = {}
    if labels is not None:
        table, left_out = _map_labels(where, table, labels)
    _check_empty(where, table, needed, Path(path).suffix.lower() != ".csv")
    _check_values(where, table, found, labelled)
    _check_ids(where, table["slide_id"])
    table["mpp"] = _resolutions(where, table)
    _check_splits(where, table)
    try:
        notes += doubts(table, labels is not None) if labelled else []
        if slides is not None:
            located = locate(table["path"], SlideFolder(slides))
            table["path"], notes = located.paths, notes + located.notes
    except ValueError as error:
        raise ManifestError(f"{where}, {error}") from error
    _check_files(where, table, "slide_id" in found, slides)
    table = table[[*COLUMNS, *(name for name in table if name not in COLUMNS)]].reset_index(drop=True)
    table.attrs.update(notes=notes, left_out=left_out)
    return table


def load_manifest(config: RunConfig) -> pd.DataFrame:
    """The manifest of a run, its paths looked up in the folder of slides; see `read_manifest`."""
    data = config.data
    return read_manifest(data.manifest, data.columns, data.labels, data.slides)


def compare_folder(manifest: pd.DataFrame, slides: str | os.PathLike[str]) -> Beside:
    """Which slides are in the folder and not in the table, and the reverse.

    Args:
        manifest: as `read_manifest` gives it.
        slides: folder that its paths are relative to.

    Raises:
        NotADirectoryError: the folder is not there.
    """
    there = [os.path.exists(os.path.join(slides, path)) for path in manifest["path"]]
    missing = [str(slide_id) for slide_id, found in zip(manifest["slide_id"], there, strict=True) if not found]
    return Beside(SlideFolder(slides).beside(manifest["path"]), missing)


def class_list(
    manifest: pd.DataFrame,
    multi_label: bool = False,
    labels: Mapping[str, str] | None = None,
    positive: str | None = None,
) -> list[str]:
    """The classes in the order of a model's outputs: as `labels` names them first, else as people sort them.

    Args:
        manifest: with a column `label`.
        multi_label: whether labels are sets such as "a;b".
        labels: the table's labels to classes.
        positive: of two classes, the one that comes second. None: the order decides.

    Raises:
        ManifestError: `positive` is not one of two classes.
    """
    present = {part for label in manifest["label"] for part in (label_parts(label) if multi_label else [label])}
    classes = sorted(present, key=people_order)
    if labels:
        classes = [name for name in dict.fromkeys(labels.values()) if name in present]
    if positive is None:
        return classes
    if multi_label or len(classes) != 2 or positive not in classes:
        listed = ", ".join(map(repr, classes[:10])) + (", ..." if len(classes) > 10 else "")
        what = "slides have any number of classes" if multi_label else f"the classes are {listed}"
        raise ManifestError(
            f"`data.positive: {positive}` must be one of two classes; {what}: correct it, or leave it out"
        )
    return sorted(classes, key=lambda name: name == positive)


def _with_our_names(table: pd.DataFrame, found: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The table with our columns first; what else it has keeps its name, unless that is one of ours."""
    notes: list[str] = []
    ours: dict[str, pd.Series] = {name: table[theirs] for name, theirs in found.items()}
    others = {str(name): table[name] for name in table if name not in found.values()}
    if "path" not in ours and "slide_id" in ours:
        ours["path"] = ours["slide_id"]
        if ours["slide_id"].str.contains("/", regex=False).all():  # whole paths
            ours["slide_id"] = ours["path"].map(stem_of)
    if "slide_id" not in ours and "path" in ours:
        ours["slide_id"] = ours["path"].map(stem_of)
    if "patient_id" not in ours and "slide_id" in ours:
        ours["patient_id"] = ours["slide_id"]
        notes.append(
            "no column names the patients: every slide counts as a patient of its own. Where patients have several slides, "
            "name the column in `data.columns.patient_id`, or they may stand on both sides of a split"
        )
    for name in ("mpp", "split", "site"):
        ours.setdefault(name, pd.Series("", table.index, dtype=object))
    ours |= {f"table_{name}" if name in COLUMNS else name: column for name, column in others.items()}
    return pd.DataFrame(ours, index=table.index), notes


def _check_columns(where: str, table: pd.DataFrame, found: Mapping[str, str], names: list[str]) -> None:
    missing = [name for name in NEEDED if name not in table]
    if missing:
        known = "; ".join(f"{name}: {', '.join(ALIASES[name][:6])}..." for name in missing)
        advice = ", or join the table of the labels to that of the slides first" if "label" in missing else ""
        raise ManifestError(
            f"{where} lacks the column(s) {', '.join(missing)}; it has {', '.join(names)}. Known names are {known} Name "
            f"another in the configuration, as in `data: {{columns: {{{missing[-1]}: {names[-1]}}}}}`{advice}"
        )
    if table.empty:
        raise ManifestError(f"{where} names no slide")


def _map_labels(where: str, table: pd.DataFrame, labels: Mapping[str, str]) -> tuple[pd.DataFrame, dict[str, int]]:
    def map_label(label: str) -> str:
        if label in labels:
            return labels[label]
        classes = [labels[part] for part in label_parts(label) if part in labels]
        return MULTI_LABEL.join(dict.fromkeys(classes))

    mapped = table["label"].map(map_label)
    counts = {str(label): int(count) for label, count in table["label"][mapped == ""].value_counts().items()}
    if (mapped == "").all():
        raise ManifestError(
            f"{where}: none of its labels ({', '.join(map(repr, sorted(counts)[:10]))}) is in `data.labels` "
            f"({', '.join(map(repr, labels))})"
        )
    return table.assign(label=mapped)[mapped != ""], dict(sorted(counts.items()))


def _check_empty(where: str, table: pd.DataFrame, needed: tuple[str, ...], may_have_formulas: bool) -> None:
    for name in needed:
        empty = table.index[table[name] == ""]
        if len(empty):
            more = ", or leave the row's label out by `data.labels`" if name == "label" else ""
            formula = (
                "; a formula has a value only after the spreadsheet's program has saved it" if may_have_formulas else ""
            )
            raise ManifestError(
                f"{where}, line {empty[0]}: the column {name!r} is empty: fill it, or remove the row{more}{formula}"
            )


def _check_values(where: str, table: pd.DataFrame, found: Mapping[str, str], labelled: bool) -> None:
    """No errors of spreadsheets; ids and patients that name something, where the table has such columns."""
    ids = [name for name in ("slide_id", "patient_id")[: 1 + labelled] if name in found]
    wrong = wrong_value(table, COLUMNS if labelled else ("slide_id", "path", "mpp"), ids)
    if wrong is not None:
        raise ManifestError(f"{where}, {wrong}")


def _check_ids(where: str, ids: pd.Series) -> None:
    double = ids[ids.duplicated(keep=False)]
    if len(double):
        lines = ", ".join(str(line) for line in double.index[double == double.iloc[0]])
        raise ManifestError(
            f"{where}: slide_id {double.iloc[0]!r} stands in lines {lines}; give each slide one id of its own"
        )
    too_long = ids.map(lambda slide_id: len(os.fsencode(slide_id)) > _LONGEST_ID)
    unsafe = ids[ids.str.contains("[/\0]", regex=True) | ids.str.startswith(".") | too_long]
    if len(unsafe):
        raise ManifestError(
            f"{where}, line {unsafe.index[0]}: slide_id {unsafe.iloc[0]!r} names a file of the records; "
            f"it must not contain '/', begin with '.', nor have more than {_LONGEST_ID} bytes"
        )


def _resolutions(where: str, table: pd.DataFrame) -> list[float]:
    found = []
    for line, slide_id, text in zip(table.index, table["slide_id"], table["mpp"], strict=True):
        text = re.sub(r"^(\d+),(\d+)", r"\1.\2", text)  # decimal commas of German or French spreadsheets
        try:
            found.append(float("nan") if is_missing(text) else parse_slide_mpp(text))
        except ValueError as error:
            raise ManifestError(
                f"{where}, line {line}: slide {slide_id!r} has a bad mpp: {error}; leave it empty to take the file's own"
            ) from error
    return found


def _check_splits(where: str, table: pd.DataFrame) -> None:
    """No patient in two parts; other values than parts, such as names of arrays, matter to nobody here."""
    parts = table["split"].str.lower().map(PART_OF)
    for patient, names in parts.dropna().groupby(table["patient_id"]).unique().items():
        if len(names) > 1:
            raise ManifestError(
                f"{where}: patient {patient!r} stands in several splits ({', '.join(map(repr, names))}); "
                "slides of one patient belong into one split"
            )


def _check_files(where: str, table: pd.DataFrame, own_ids: bool, slides: str | os.PathLike[str] | None) -> None:
    """No file twice; no stem twice in a folder, which is one slide in two formats."""
    stems: dict[str, tuple[int, str]] = {}
    for line, path in zip(table.index, table["path"], strict=True):
        real = path if slides is None else os.path.realpath(os.path.join(slides, path))
        # Ids of their own tell slides of one name in several folders apart.
        name = os.path.join(os.path.dirname(real), stem_of(real)) if own_ids else stem_of(path)
        before = stems.setdefault(os.path.normpath(name), (line, path))
        if before != (line, path):
            raise ManifestError(
                f"{where}: lines {before[0]} and {line} name the same slide, {before[1]!r} and {path!r}: keep one of them; "
                "slides of one name in several folders need a column slide_id with an id for each"
            )
