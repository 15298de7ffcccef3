"""What is asked for one slide and what came of it, as plain values that travel between processes and machines."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ats_mag.records.schema import SCHEMA, SUFFIX
from ats_mag.slides.quality import LEAST_SHARE, Quality
from ats_mag.slides.slide_files import slide_files
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, OTSU, TissueOptions
from ats_mag.system.atomic_files import digest

SHEETS = "sheets"

_WHERE = (
    "slide_root", "out", "default_mpp", "empty_mask", "stride", "version", "standing", "tissue", "own_mask", "least_tissue",
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What was found on a slide; the same whenever and wherever it is prepared.

    Attributes:
        mpp: um/px of level 0.
        mpp_source: `manifest`, the file's key, or `default`.
        width, height: of its bounds, level-0 pixels.
        tissue: share of the overview's pixels on tissue.
        cells: of the lattice, enough on tissue to be looked at; None where no sheet was drawn.
        whole: no tissue was found, and the whole area is looked at.
        quality: what had better be looked at; None of what an earlier release prepared.
    """

    mpp: float
    mpp_source: str
    width: int
    height: int
    tissue: float
    cells: int | None
    whole: bool
    quality: Quality | None = None


@dataclass(frozen=True)
class Job:
    """One slide to prepare.

    Attributes:
        slide_id, patient_id, path, label, split: of the manifest.
        mpp: um/px that the manifest states, else None.
        slide_root: folder that `path` is relative to; absolute.
        out: folder of the records; absolute.
        overview_mpp: um/px of the overview.
        default_mpp: um/px where neither the manifest nor the file states it, else None.
        empty_mask: `error` or `whole`.
        stride: overview pixels per cell of the sheet's lattice; None: no sheet.
        version: of the package that asks.
        standing: facts of the record where that stands and only the sheet is to be drawn, else None.
        tissue: how tissue is found.
        own_mask: file in which somebody drew it instead, see `read_own_mask`; None: nobody did.
        least_tissue: share of the overview on tissue, below which a slide deserves a look.
    """

    slide_id: str
    patient_id: str
    path: str
    label: str
    split: str
    mpp: float | None
    slide_root: str
    out: str
    overview_mpp: float
    default_mpp: float | None
    empty_mask: str
    stride: int | None
    version: str
    standing: Facts | None = None
    tissue: TissueOptions = DEFAULT_TISSUE
    own_mask: str | None = None
    least_tissue: float = LEAST_SHARE

    @property
    def slide(self) -> str:
        """The slide file."""
        return os.path.join(self.slide_root, self.path)

    @property
    def record(self) -> Path:
        """The record's file."""
        return Path(self.out) / (self.slide_id + SUFFIX)

    @property
    def sheet(self) -> Path:
        """The quality sheet's file."""
        return Path(self.out) / SHEETS / f"{self.slide_id}.png"

    @property
    def texts(self) -> dict[str, str]:
        """What the record repeats of the manifest."""
        return {name: getattr(self, name) for name in ("slide_id", "patient_id", "path", "label", "split")}

    def source(self) -> dict[str, Any]:
        """All that every record is made from: the manifest's row, the slide file's state, the options, the schema.

        What matters to some records only (`default_mpp`, `empty_mask`) is with their facts, so that setting it for a
        few slides does not make the others anew.

        Raises:
            OSError: the slide file is not there.
        """
        files = [[place, size, modified] for _, place, size, modified in slide_files(self.slide).files]
        asked = {name: value for name, value in asdict(self).items() if name not in _WHERE}
        # As earlier releases, which found tissue in one way only, so that their records stand.
        tissue = {} if self.tissue == OTSU or self.own_mask else {"tissue": self.tissue.to_dict()}
        own = {"own_mask": digest(self.own_mask)} if self.own_mask else {}
        return {**asked, **tissue, **own, "files": files, "schema": SCHEMA}


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        error: why it failed, else None.
        died: whether the process that read the slide ended before it had an answer.
        source: see `Job.source`, of the record that was written.
        content: SHA-256 of the ends of the slide's files, see `fingerprint`.
        facts: as far as they were found.
        outputs: SHA-256 of the files that were written, by their paths in the folder of the records. A slide that failed
            for want of tissue has a sheet.
    """

    error: str | None = None
    died: bool = False
    source: dict[str, Any] | None = None
    content: str | None = None
    facts: Facts | None = None
    outputs: dict[str, str] = field(default_factory=dict)
