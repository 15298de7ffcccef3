"""What is known of each slide's preparation: one small file per slide, replaced as a whole.

It is kept apart from the outputs, as attempts differ between runs and outputs do not.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ats_mag.cohort.fingerprints import fingerprint
from ats_mag.preparation.job import SHEETS, Facts, Job, Outcome
from ats_mag.slides.quality import Quality
from ats_mag.system.atomic_files import digest, write_whole
from ats_mag.system.json_text import json_bytes

STATES = "state"
ASIDE = "aside"  # outputs of slides that could be prepared once and cannot now: not used, but not lost either


@dataclass(frozen=True)
class State:
    """One slide's preparation.

    Attributes:
        slide_id: of the manifest.
        status: `new`, `started` (and, if no process is at it, killed), `done` or `failed`.
        attempts: how often it was begun, over all runs.
        error: of the last attempt.
        source: what the record was made from, see `Job.source`; None where there is no record.
        content: SHA-256 of the ends of the slide's files, by which a copy of them with other times is known.
        facts: what was found on the slide.
        stride: of the sheet's lattice; None where there is no sheet.
        default_mpp: that the record was made with.
        outputs: SHA-256 of the files, by their paths in the folder of the records.
    """

    slide_id: str
    status: str = "new"
    attempts: int = 0
    error: str | None = None
    source: dict[str, Any] | None = None
    content: str | None = None
    facts: Facts | None = None
    stride: int | None = None
    default_mpp: float | None = None
    outputs: dict[str, str] = field(default_factory=dict)

    def started(self) -> State:
        """As it is while a process is at the slide."""
        return replace(self, status="started", attempts=self.attempts + 1, error=None)

    def finished(self, job: Job, outcome: Outcome) -> State:
        """As it is after that."""
        if outcome.error is not None:
            record = {name: value for name, value in self.outputs.items() if name == job.record.name}
            stride = job.stride if outcome.outputs else None
            outputs = {**record, **outcome.outputs}
            return replace(self, status="failed", error=outcome.error, stride=stride, outputs=outputs)
        kept = {} if job.standing is None else self.outputs
        return replace(
            self,
            status="done",
            error=None,
            source=outcome.source or self.source,
            content=outcome.content or self.content,
            facts=outcome.facts,
            stride=job.stride,
            default_mpp=job.default_mpp if job.standing is None else self.default_mpp,
            outputs={**kept, **outcome.outputs},
        )


def read_state(out: Path, slide_id: str) -> State:
    """The state on disk; a new one where there is none, or none that can be understood."""
    try:
        values = json.loads(_file(out, slide_id).read_text(encoding="utf-8"))
        facts = values.pop("facts")
        return State(**values, facts=None if facts is None else _facts(facts))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return State(slide_id)


def _facts(values: dict[str, Any]) -> Facts:
    quality = values.get("quality")
    return Facts(**{**values, "quality": None if quality is None else Quality(**quality)})


def write_state(out: Path, state: State) -> None:
    """Writes the state, whole or not at all."""
    write_whole(_file(out, state.slide_id), json_bytes(asdict(state), indent=1, sort_keys=True))


def record_stands(job: Job, state: State) -> bool:
    """Whether the slide's record is there, undamaged, and what this job would write.

    A record that was set aside because the slide failed since then comes back where it is that.
    """
    if state.source is None or state.facts is None or (state.facts.whole and job.empty_mask != "whole"):
        return False
    if state.facts.mpp_source == "default" and state.default_mpp != job.default_mpp:
        return False
    try:
        if not _same_source(job, state):
            return False
    except OSError:
        return False
    _bring_back(job)
    return _agrees(job.record, state.outputs.get(job.record.name))


def sheet_stands(job: Job, state: State) -> bool:
    """Whether the sheet is there, undamaged, and what this job would draw; also where none is asked for."""
    if job.stride is None:
        return True
    return state.stride == job.stride and _agrees(job.sheet, state.outputs.get(f"{SHEETS}/{job.sheet.name}"))


def set_aside(job: Job) -> None:
    """Takes the record of an earlier success away from those who read records; it comes back if it fits again."""
    if job.record.exists():
        (Path(job.out) / ASIDE).mkdir(exist_ok=True)
        os.replace(job.record, _aside(job))


def drop_aside(job: Job) -> None:
    """Removes what was set aside, once there is a new record."""
    _aside(job).unlink(missing_ok=True)


def _same_source(job: Job, state: State) -> bool:
    """Whether the record's source is what it was; a slide that was touched, or copied, has other times only."""
    now, before = job.source(), state.source
    if before is None or {**now, "files": None} != {**before, "files": None}:
        return False
    if now["files"] == before["files"]:
        return True
    sizes = [[[place, size] for place, size, _ in source["files"]] for source in (now, before)]
    return sizes[0] == sizes[1] and state.content is not None and fingerprint(job.slide).get("sha256") == state.content


def _bring_back(job: Job) -> None:
    if not job.record.exists() and _aside(job).exists():
        os.replace(_aside(job), job.record)


def _aside(job: Job) -> Path:
    return Path(job.out) / ASIDE / job.record.name


def _agrees(path: Path, stated: str | None) -> bool:
    try:
        return stated is not None and digest(path) == stated
    except OSError:
        return False


def _file(out: Path, slide_id: str) -> Path:
    return out / STATES / f"{slide_id}.json"
