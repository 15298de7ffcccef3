"""A run, opened once per command: its configuration, slides, division and what was trained on them."""

from __future__ import annotations

import datetime
import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from ats_mag.cohort.fingerprints import Fingerprint
from ats_mag.cohort.manifest import COLUMNS, NEEDED, load_manifest
from ats_mag.cohort.splits import fold_names, load_splits, part_of, read_splits, splits_content
from ats_mag.config.reading import resolve_paths
from ats_mag.model.heads import get_head
from ats_mag.runs.comparability import compare, refusal, settled, some
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run_file import RunError, RunFile, Start, read_run_file, write_run_file
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.system.atomic_files import write_whole
from ats_mag.system.kept_tables import read_kept
from ats_mag.system.versions import versions

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run: what every command works on.

    Attributes:
        config: of the run.
        manifest: as `load_manifest` gives it.
        splits: as `load_splits` gives it.
        about: what the run keeps about itself.
    """

    config: RunConfig
    manifest: pd.DataFrame
    splits: pd.DataFrame
    about: RunFile

    @classmethod
    def open(cls, config: RunConfig) -> Run:
        """Begins a run or goes on with it; writes its configuration, manifest, division and `run.json`, or compares them.

        As long as nothing was trained (no folder `fold-*` holds a file), changes are taken over; then only those that leave
        results comparable.

        Args:
            config: of the run.

        Warns:
            UserWarning: slides that were trained on cannot be read any more.

        Raises:
            ManifestError, SplitError: see `load_manifest` and `load_splits`.
            RunError: the run was begun with other settings, slides or labels; or the division was made with others.
        """
        layout = RunLayout.of(config)
        manifest = load_manifest(config)
        splits = load_splits(layout.splits, config.splits, manifest)
        config = settled(config, read_run_file(layout.run))
        return cls(config, manifest, splits, _begin(config, layout, manifest, splits))

    @classmethod
    def begun(cls, config: RunConfig) -> Run:
        """The run that another process has just opened to train it together with this one; nothing is written.

        Its fingerprints are those of the slides as they are here.

        Raises:
            ManifestError, SplitError: see `load_manifest` and `read_splits`.
            RunError: the run was not opened, or with other settings, slides or labels.
        """
        layout = RunLayout.of(config)
        about = read_run_file(layout.run)
        if about is None:
            raise RunError(
                f"{str(config.run)!r} does not show the run that another host has opened there: name a folder that all share"
            )
        manifest, splits, config = load_manifest(config), read_splits(layout.splits), settled(config, about)
        found = compare(config, manifest, about["splits_sha256"])
        if found.problems:
            raise RunError(refusal(config, found.problems))
        broken = {slide_id: about["slides"][slide_id] for slide_id in found.broken}
        here: RunFile = {**about, "slides": found.slides | broken}
        return cls(config, manifest, splits, here)

    @classmethod
    def open_divided(cls, config: RunConfig) -> Run:
        """As `open`, of a run whose division is stored: what was not divided cannot have been trained.

        Raises:
            FileNotFoundError: it is not.
        """
        file = RunLayout.of(config).splits
        if not file.exists():
            raise FileNotFoundError(f"{str(file)!r} does not exist, nothing was trained: run `ats-mag train` first")
        return cls.open(config)

    @classmethod
    def stored(cls, config: RunConfig) -> Run:
        """The run as its folder holds it; neither its slides nor its manifest need be there any more.

        A division that was removed has no folds.

        Raises:
            RunError: the run was not begun, or its file is damaged.
            ValueError: its manifest is damaged.
            SplitError: the stored division is damaged.
        """
        layout = RunLayout.of(config)
        about = read_run_file(layout.run)
        if about is None:
            raise RunError(
                f"{str(config.run)!r} holds no run ({layout.run.name} is not there): run `ats-mag prepare` first"
            )
        manifest = read_kept(
            layout.manifest, NEEDED, "bring back a copy of it: the run's own", dtype=str, keep_default_na=False
        )
        manifest["mpp"] = pd.to_numeric(manifest["mpp"])
        nothing = pd.DataFrame(columns=["slide_id", "patient_id", "label"], dtype=object)
        config = settled(config, about)
        return cls(config, manifest, read_splits(layout.splits) if layout.splits.exists() else nothing, about)

    def __repr__(self) -> str:
        slides, classes = len(self.manifest), ", ".join(self.classes)
        return f"Run({str(self.config.run)!r}: {slides} slides of the classes {classes}, {len(self.folds)} fold(s))"

    @cached_property
    def layout(self) -> RunLayout:
        """Where its files lie."""
        return RunLayout.of(self.config)

    @property
    def classes(self) -> list[str]:
        """In the order of the model's outputs."""
        return self.about["classes"]

    @property
    def positive(self) -> str | None:
        """The class that "positive" means, of two; None: there is none."""
        return get_head(self.config.model.head).positive_class(self.classes)

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        """What tells the slides' files from others, by slide id."""
        return self.about["slides"]

    @property
    def multi_label(self) -> bool:
        """Whether a slide may have any number of classes, instead of exactly one."""
        return not get_head(self.config.model.head).exclusive

    @property
    def folds(self) -> list[int]:
        """The folds that the division has."""
        return list(range(len(fold_names(self.splits))))

    def test_slides(self, fold: int) -> pd.DataFrame:
        """`slide_id`, `patient_id` and `label` of a fold's test slides.

        Raises:
            ValueError: there is no such fold.
        """
        chosen = self.splits["slide_id"].isin(part_of(self.splits, fold, "test"))
        return self.splits.loc[chosen, ["slide_id", "patient_id", "label"]]

    def local_copies(self) -> LocalCopies | None:
        """Where slides are copied to ahead of their use; None: they are read where they are."""
        settings = self.config.train
        if settings.local_copies is None:
            return None
        return LocalCopies(settings.local_copies, int(settings.local_copies_gb * 1e9))


def _begin(config: RunConfig, layout: RunLayout, manifest: pd.DataFrame, splits: pd.DataFrame) -> RunFile:
    """Writes the run's own files where they are not what they should be, and returns the content of `run.json`."""
    content = splits_content(layout.splits, splits)
    division = hashlib.sha256(content).hexdigest()
    found = compare(config, manifest, division)
    if found.problems:
        raise RunError(refusal(config, found.problems))
    before: RunFile = found.begun or {}
    if found.broken:
        warnings.warn(
            f"the files of {len(found.broken)} slide(s) have been damaged: {some(found.broken)}", stacklevel=4
        )
    # Broken slides as they were, so that they are known when they are whole again.
    slides = found.slides | {slide_id: before["slides"][slide_id] for slide_id in found.broken}
    values = config.model_dump(mode="json")
    run: RunFile = {
        "versions": versions(),
        "seeds": {"splits": config.splits.seed, "train": config.train.seed},
        "classes": found.classes,
        "label_mapping": config.data.labels or {label: label for label in sorted(set(manifest["label"]))},
        "left_out": manifest.attrs.get("left_out", {}),
        "notes": manifest.attrs.get("notes", []),
        "folds": len(fold_names(splits)),
        "splits_sha256": division,
        "splits_made_with": values["splits"],
        "slides": slides,
        "config": values,
    }
    if all(before.get(name) == value for name, value in run.items()):
        _store_splits(layout, content)
        return before
    start: Start = {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": run["versions"],
    }
    run["starts"] = [*before.get("starts", []), start]
    resolved = resolve_paths(config, Path.cwd()).model_dump(mode="json")
    layout.folder.mkdir(parents=True, exist_ok=True)
    write_whole(layout.manifest, manifest[list(COLUMNS)].to_csv(index=False).encode())
    write_whole(layout.config, yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).encode())
    write_run_file(layout.run, run)
    # Last: a division whose settings are not in `run.json` would pass for one that was made with any.
    _store_splits(layout, content)
    return run


def _store_splits(layout: RunLayout, content: bytes) -> None:
    if not layout.splits.exists():
        write_whole(layout.splits, content)
