"""The records of a run's slides, if they are still what `prepare` would make of them."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import pandas as pd

from ats_mag.cohort.fingerprints import fingerprint, is_damaged
from ats_mag.geometry.slide_geometry import MPP_UNIT, slide_mpp
from ats_mag.preparation.state import State, read_state
from ats_mag.records.record import RecordError, find_records
from ats_mag.runs.comparability import tissue_of
from ats_mag.slides.own_mask import COLUMN, find_own_mask
from ats_mag.slides.slide_files import slide_files
from ats_mag.slides.tissue_options import OTSU
from ats_mag.system.atomic_files import digest

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig
    from ats_mag.runs.run import Run

_SHOWN = 5


def usable_records(run: Run, slide_ids: Collection[str], skip: bool) -> dict[str, dict[str, Any]]:
    """The records of some slides by id, as `find_records` gives them; slides without a record are left out.

    Args:
        run: the run.
        slide_ids: of the slides.
        skip: whether slides that cannot be read are skipped: then also one that became shorter is left to its reader.

    Raises:
        RecordError: no record, a bad one, or one that was made of another file or with other settings.
    """
    config = run.config
    found = {r["slide_id"]: r for r in find_records(config.records, slide_ids=slide_ids)}
    rows = run.manifest.set_index("slide_id")
    others = defaultdict(list)
    for slide_id, record in found.items():
        reason = _what_differs(config, rows.loc[slide_id], record, skip)
        if reason is not None:
            others[reason].append(slide_id)
    if others:
        listed = "; ".join(f"{reason}: {_some(ids)}" for reason, ids in others.items())
        raise RecordError(
            f"the records of {sum(map(len, others.values()))} slide(s) in {str(config.records)!r} were made otherwise than "
            f"they would be now ({listed}): run `ats-mag prepare` again"
        )
    return found


def _what_differs(config: RunConfig, row: pd.Series, record: dict[str, Any], skip: bool) -> str | None:
    """What a record was made with that is otherwise now; labels, patients and splits are taken from the manifest anyway."""
    if not math.isclose(record["overview_mpp"], config.prepare.overview_mpp, rel_tol=1e-6):
        return f"prepare.overview_mpp was {record['overview_mpp']:g} and is {config.prepare.overview_mpp:g}"
    if record["path"] != row["path"]:
        return "another path"
    stated = {"manifest": row["mpp"], "default": config.data.default_mpp}.get(record["mpp_source"])
    of_manifest = record["mpp_source"] == "manifest"
    if of_manifest == bool(pd.isna(row["mpp"])) or (of_manifest and not _same_mpp(record, stated)):
        return "another mpp in the manifest"
    if record["mpp_source"] == "default" and not _same_mpp(record, stated):
        return "another data.default_mpp"
    state = read_state(config.records, record["slide_id"])
    if state.facts is not None and state.facts.whole and config.prepare.empty_mask != "whole":
        return "prepare.empty_mask was 'whole' and is 'error'"
    other = _other_tissue(config, row, state)
    if other is not None:
        return other
    return "another slide file" if _is_other_file(os.path.join(config.data.slides, row["path"]), state, skip) else None


def _other_tissue(config: RunConfig, row: pd.Series, state: State) -> str | None:
    """That tissue was found in another way, or drawn by somebody else."""
    if state.source is None:
        return None
    own = find_own_mask(str(row.name), row.get(COLUMN), config.prepare.tissue.masks)
    if state.source.get("own_mask") != (None if own is None else digest(own)):
        return "another tissue mask was drawn"
    before, now = state.source.get("tissue", OTSU.to_dict()), tissue_of(config).to_dict()
    return None if own is not None or before == now else f"prepare.tissue was {before} and is {now}"


def _same_mpp(record: dict[str, Any], stated: float | None) -> bool:
    """To the step in which a record's geometry states it."""
    return stated is not None and abs(float(slide_mpp(record["geometry"])) - stated) <= MPP_UNIT


def _is_other_file(path: str, state: State, skip: bool) -> bool:
    """Whether the slide's files are not those that the record was made from; a copy of them has other times only."""
    if state.source is None:
        return False
    before = state.source["files"]
    try:
        now = [[place, size, modified] for _, place, size, modified in slide_files(path).files]
    except OSError:  # its reader says so
        return False
    if now == before:
        return False
    same_sizes = [file[:2] for file in now] == [file[:2] for file in before]
    if same_sizes and state.content is not None and fingerprint(path).get("sha256") == state.content:
        return False
    return not is_damaged(path, sum(size for _, size, _ in before), skip)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
