"""Whether a run can go on: its results must be of one configuration, one division, and the same slides and labels."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from ats_mag.cohort.fingerprints import Fingerprint, changed_slides, fingerprints, is_damaged
from ats_mag.cohort.manifest import COLUMNS, NEEDED, class_list
from ats_mag.config.changes import changed_keys, value_at
from ats_mag.config.former_keys import current_keys
from ats_mag.config.schema import DEFAULT_ENCODER
from ats_mag.model.heads import get_head
from ats_mag.preparation.state import read_state
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run_file import RunFile, read_run_file
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions
from ats_mag.system.kept_tables import read_kept

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig

MEND = "undo this, or use another `run` folder (with `prepare.records` naming the records, where these stay the same)"
_SHOWN = 5


class Comparison(NamedTuple):
    """A run as it is now beside the run as it was begun.

    Attributes:
        begun: what the run keeps about itself; None: it was not begun.
        slides: fingerprints of the manifest's slides now, by slide id.
        problems: a sentence on each thing that is not as it must be; none where the run can go on, or was not begun.
        broken: ids of slides that were trained on and cannot be read any more.
        classes: in the order of the model's outputs.
    """

    begun: RunFile | None
    slides: dict[str, Fingerprint]
    problems: list[str]
    broken: list[str]
    classes: list[str]


def settled(config: RunConfig, begun: RunFile | None) -> RunConfig:
    """The configuration with what it leaves to the run: the encoder, the tissue and the method of testing that the run was begun
    with, or the defaults."""
    before = {} if begun is None else current_keys(begun["config"])
    model, prepare = config.model, config.prepare
    if model.encoder is None:
        encoder = before.get("model", {}).get("encoder") or DEFAULT_ENCODER
        model = model.model_copy(update={"encoder": encoder})
    if model.test_method is None and begun is not None:
        model = model.model_copy(update={"test_method": before.get("model", {}).get("test_method", "topk")})
    if prepare.tissue.method is None:
        method = before.get("prepare", {}).get("tissue", {}).get("method") or DEFAULT_TISSUE.method
        tissue = prepare.tissue.model_copy(update={"method": method})
        prepare = prepare.model_copy(update={"tissue": tissue})
    return config.model_copy(update={"model": model, "prepare": prepare})


def tissue_of(config: RunConfig) -> TissueOptions:
    """How tissue is found, of a configuration that was settled or that begins a run."""
    asked = config.prepare.tissue
    return TissueOptions(asked.method or DEFAULT_TISSUE.method, asked.threshold, asked.ink)


def compare(config: RunConfig, manifest: pd.DataFrame, division: str | None) -> Comparison:
    """Compares configuration, division, manifest and slides with those that a run was begun with.

    As long as nothing was trained, only the division must be as it was made.

    Args:
        config: as it is now.
        manifest: as `load_manifest` gives it now.
        division: SHA-256 of `splits.csv` as it is, or will be; None: it is not stored, and not to be.

    Raises:
        ManifestError: `data.positive` is none of two classes.
        RunError: the run's own file is damaged.
    """
    layout = RunLayout.of(config)
    begun = read_run_file(layout.run)
    classes = _classes(config, manifest, begun if layout.is_trained else None)
    config = settled(config, begun)
    known = {} if begun is None else begun["slides"]
    slides = fingerprints(manifest, config.data.slides, known)
    if begun is None:
        return Comparison(None, slides, [], [], classes)
    if not layout.is_trained:
        return Comparison(begun, slides, _other_division(config, begun, division), [], classes)
    replaced, broken = _slide_changes(config, manifest, known, slides)
    problems = _differences(config, begun, manifest, division, classes)
    if replaced:
        problems.append(f"the files of {len(replaced)} slide(s) have changed: {some(replaced)}")
    return Comparison(begun, slides, problems, broken, classes)


def _slide_changes(
    config: RunConfig, manifest: pd.DataFrame, known: dict[str, Fingerprint], now: dict[str, Fingerprint]
) -> tuple[list[str], list[str]]:
    """Ids of slides in place of which there are others, and of such that broke.

    Slides that were never read may have become whole: those that could not be prepared, or turned out unreadable while
    training.
    """
    unread = set()
    for fold in RunLayout.of(config).begun_folds():
        if fold.bad_slides.exists():
            mend = "bring back a copy of it, or remove it"
            table = read_kept(fold.bad_slides, ["slide_id"], mend, dtype=str, keep_default_na=False)
            unread |= set(table["slide_id"])
    paths = dict(zip(manifest["slide_id"], manifest["path"], strict=True))
    replaced: list[str] = []
    broken: list[str] = []
    for slide_id in changed_slides(known, now):
        state = read_state(config.records, slide_id)
        if slide_id in unread or (state.status == "failed" and state.source is None):
            continue
        path = os.path.join(config.data.slides, paths[slide_id])
        damaged = is_damaged(path, known[slide_id]["size"], config.train.on_bad_slide == "skip")
        (broken if damaged else replaced).append(slide_id)
    return replaced, broken


def _other_division(config: RunConfig, begun: RunFile, division: str | None) -> list[str]:
    """That a stored division was made with settings that are others now."""
    file = RunLayout.of(config).splits
    changed = changed_keys(begun["splits_made_with"], config.splits.model_dump(mode="json"), "splits")
    if not changed or division != begun["splits_sha256"]:
        return []
    return [
        f"{file.name} was made with other settings ({some(changed)}): remove {str(file)!r} to have the patients divided anew"
    ]


def _differences(
    config: RunConfig, begun: RunFile, manifest: pd.DataFrame, division: str | None, classes: list[str]
) -> list[str]:
    """Of the configuration, the division, the manifest and the classes."""
    layout, values = RunLayout.of(config), config.model_dump(mode="json")
    before = current_keys(begun["config"])
    problems = [
        f"{key} was {value_at(before, key)!r} and is {value_at(values, key)!r}" for key in changed_keys(before, values)
    ]
    if division != begun["splits_sha256"]:
        problems.append(f"{layout.splits.name} is not the division that was trained on")
    problems += _manifest_changes(layout.manifest, manifest)
    if classes != begun["classes"]:
        problems.append(f"the classes were {', '.join(begun['classes'])} and are {', '.join(classes)}")
    return problems


def refusal(config: RunConfig, problems: list[str]) -> str:
    """Why a run cannot go on, and the mend."""
    listed = "\n".join(f"  {problem}" for problem in problems)
    if not RunLayout.of(config).is_trained:
        return f"the run {str(config.run)!r} cannot go on:\n{listed}"
    return (
        f"the run {str(config.run)!r} was begun otherwise, and its results would not be comparable:\n{listed}\n"
        f"{MEND[0].upper()}{MEND[1:]}"
    )


def _classes(config: RunConfig, manifest: pd.DataFrame, trained: RunFile | None) -> list[str]:
    """The classes in the order of the model's outputs; where nothing asks for another, that of what was trained already.

    Earlier releases sorted them otherwise.
    """
    multi_label = not get_head(config.model.head).exclusive
    classes = class_list(manifest, multi_label, config.data.labels, config.data.positive)
    asked = config.data.labels is not None or config.data.positive is not None
    if trained is not None and not asked and set(trained["classes"]) == set(classes):
        return trained["classes"]
    return classes


def some(names: Iterable[object]) -> str:
    """The first names, for a message."""
    shown = sorted(map(str, names))
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")


def _manifest_changes(file: Path, manifest: pd.DataFrame) -> list[str]:
    mend = "bring back a copy of it: the run's own"
    before = read_kept(file, NEEDED, mend, dtype=str, keep_default_na=False).set_index("slide_id")
    now = manifest[list(COLUMNS)].set_index("slide_id")
    problems = []
    for slides, what in (
        (now.index.difference(before.index), "new to the manifest"),
        (before.index.difference(now.index), "no more in the manifest"),
    ):
        if len(slides):
            problems.append(f"{len(slides)} slide(s) are {what}: {some(slides)}")
    both = now.index.intersection(before.index)
    for name in ("patient_id", "label", "mpp"):
        then, new = before.loc[both, name], now.loc[both, name]
        if name == "mpp":
            then, new = pd.to_numeric(then).fillna(0), new.fillna(0)
        changed = both[then.to_numpy() != new.to_numpy()]
        if len(changed):
            problems.append(f"the {name} of {len(changed)} slide(s) has changed: {some(changed)}")
    return problems
