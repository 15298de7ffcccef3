"""Which column of somebody's table means what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# Names as `plain_name` gives them. Ours come first, then those of CLAM (case_id, slide_id, label), STAMP (PATIENT, SLIDE,
# FILENAME), slideflow (patient, slide, site), TRIDENT (wsi, mpp), slide2vec (sample_id, image_path, spacing_at_level_0),
# of the GDC (case_submitter_id, file_name) and what people write.
ALIASES = {
    "slide_id": ("slide_id", "slide", "slide_name", "slideid", "slide_number", "sample_id", "image_id", "wsi_id"),
    "patient_id": (
        "patient_id", "patient", "patientid", "patient_name", "patient_code", "case_id", "case", "caseid", "case_submitter_id",
        "bcr_patient_barcode", "subject", "subject_id", "participant", "participant_id",
    ),
    "path": (
        "path", "slide_path", "slidepath", "file", "filename", "file_name", "filepath", "file_path", "full_path", "wsi",
        "wsi_path", "slide_file", "slide_filename", "image", "image_path", "image_file",
    ),
    "label": ("label", "labels", "class", "class_name", "category", "target", "slide_label", "ground_truth", "y"),
    "mpp": (
        "mpp", "slide_mpp", "mpp_x", "um_per_px", "um_per_pixel", "microns_per_pixel", "micron_per_pixel", "pixel_size_um",
        "spacing_at_level_0",
    ),
    "site": (
        "site", "institution", "institute", "center", "centre", "hospital", "tissue_source_site", "data_contributing_site",
    ),
    "split": ("split", "partition", "subset", "set"),
}  # fmt: skip

_PARTS = {
    "train": ("train", "training", "tr"),
    "validation": ("validation", "val", "valid", "dev", "tune", "tuning"),
    "test": ("test", "testing", "te", "eval", "evaluation", "holdout"),
}
PART_OF = {spelling: part for part, spellings in _PARTS.items() for spelling in spellings}


def plain_name(column: str) -> str:
    """A column's name in lower case, with "_" for spaces and signs: "Slide ID" is "slide_id"."""
    return re.sub(r"[^a-z0-9]+", "_", column.strip().lower().replace("µ", "u")).strip("_")


def find_columns(rows: Mapping[str, list[str]], chosen: Mapping[str, str] | None) -> dict[str, str]:
    """Our names to those of the table, where it has such a column.

    Args:
        rows: the table, a list of values per column.
        chosen: our names to the table's, over the known ones.

    Raises:
        ValueError: `chosen` names what is not there, or two columns of different content have one meaning.
    """
    found = {ours: _chosen(ours, theirs, list(rows)) for ours, theirs in (chosen or {}).items()}
    for ours, aliases in ALIASES.items():
        if ours in found:
            continue
        known = [name for name in rows if plain_name(name) in aliases and name not in found.values()]
        known.sort(key=lambda name: aliases.index(plain_name(name)))
        if any(rows[name] != rows[known[0]] for name in known[1:]):
            listed = " and ".join(map(repr, known))
            raise ValueError(
                f"the columns {listed} may all be the {ours}: choose one in the configuration, as in "
                f"`data: {{columns: {{{ours}: {known[0]}}}}}`"
            )
        if known:
            found[ours] = known[0]
    return found


def names_columns(cells: Iterable[str], chosen: Mapping[str, str] | None, labelled: bool) -> bool:
    """Whether these cells of a line name the columns of a manifest: that of the slides, and that of the labels if need be.

    Args:
        cells: of the line.
        chosen: our names to the table's, over the known ones.
        labelled: whether labels are needed.
    """
    plain = {plain_name(cell) for cell in cells}

    def has(ours: str) -> bool:
        theirs = (chosen or {}).get(ours)
        return not plain.isdisjoint(ALIASES[ours] if theirs is None else {plain_name(theirs)})

    return (has("slide_id") or has("path")) and (has("label") or not labelled)


def _chosen(ours: str, theirs: str, names: list[str]) -> str:
    if ours not in ALIASES:
        raise ValueError(f"`data.columns` has the key {ours!r}: it must be one of {', '.join(ALIASES)}")
    same = [name for name in names if name == theirs.strip()] or [
        name for name in names if plain_name(name) == plain_name(theirs)
    ]
    if len(same) != 1:
        raise ValueError(
            f"`data.columns` says that the {ours} is the column {theirs!r}; the table has {', '.join(names)}"
        )
    return same[0]
