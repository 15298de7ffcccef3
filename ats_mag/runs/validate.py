"""The check of a whole run: configuration, manifest, division, slides."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from ats_mag.cohort.manifest import ManifestError, compare_folder, load_manifest
from ats_mag.cohort.patient_division import SplitError
from ats_mag.cohort.splits import check_fold, count_labels, fold_names, load_splits, patients_across, read_splits
from ats_mag.model.heads import get_head
from ats_mag.runs.check_slide import STOPS
from ats_mag.runs.check_slides import check_slides
from ats_mag.runs.comparability import MEND, compare, settled
from ats_mag.runs.geometry_sense import geometry_stops, geometry_warnings
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run_file import RunError, read_run_file
from ats_mag.slides.own_mask import OwnMaskError, own_masks
from ats_mag.slides.paths import printable
from ats_mag.system.atomic_files import digest

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig


_SHOWN = 5
_NOTES_OF_SLIDES = {  # how notes on slides begin that are worth a warning
    "the manifest says": "have another um/px in the manifest than in their files, by more than 2 %",
    "the overview (": "are coarser than the overview, which is enlarged for them",
}
_FEW_CELLS = 100  # of all magnifications together


def validate(config: RunConfig, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Checks configuration, manifest, division and slides, in parallel processes, and writes nothing.

    `training.validate.validate` also asks what training asks.

    Args:
        config: of the run.
        progress: called with how many slides were looked at, and of how many.

    Returns:
        A report, fit for JSON:

        - `stops`: sentences on what would stop the run; it may start where there is none.
        - `warnings`: sentences on what had better be known.
        - `slides`: per slide what `check_slide.SlideCheck` says, and whether its problems stop the run (`stops`).
        - `labels`: slides and patients per fold, part and label; `left_out`: slides by label that `data.labels` leaves out.
        - `classes`: in the order of the model's outputs; `positive`: of two, the one that this word means.
        - `patients`: their number, and which stand in several parts of a fold (`across`).
        - `folder`: slides `not_in_table` and `not_in_folder`.
    """
    report: dict[str, Any] = {"stops": [], "warnings": [], "slides": [], "labels": [], "left_out": {}}
    report |= {"classes": [], "positive": None}
    report |= {"patients": {"number": 0, "across": []}, "folder": {"not_in_table": [], "not_in_folder": []}}
    splits = RunLayout.of(config).splits
    try:
        config = settled(config, read_run_file(RunLayout.of(config).run))
        manifest = load_manifest(config)
        own_masks(manifest, config.prepare.tissue.masks)  # says what is missing before any slide is read
        beside = compare_folder(manifest, config.data.slides)
        report["folder"] = {key: [printable(name) for name in names] for key, names in beside._asdict().items()}
        found = compare(config, manifest, digest(splits) if splits.exists() else None)
        mend = f": {MEND}" if RunLayout.of(config).is_trained else ""
        report["stops"] += [f"{problem}{mend}" for problem in found.problems]
        report["classes"] = found.classes
    except (ManifestError, NotADirectoryError, RunError, OwnMaskError) as error:
        report["stops"].append(str(error))
        return report
    report["left_out"] = manifest.attrs["left_out"]
    report["warnings"] += manifest.attrs["notes"]
    report["stops"] += geometry_stops(config)
    report["warnings"] += geometry_warnings(config) + _mixed_patients(config, manifest)
    report["patients"]["number"] = int(manifest["patient_id"].nunique())
    bad = set()
    for checked in _check_slides(config, manifest, report, progress):
        report["slides"].append(checked)
        if any(problem["kind"] in STOPS for problem in checked["problems"]):
            bad.add(checked["slide_id"])
    order = {slide_id: i for i, slide_id in enumerate(manifest["slide_id"])}
    report["slides"].sort(key=lambda slide: order[slide["slide_id"]])
    _judge(config, report)
    _check_division(config, manifest, bad, report)
    return report


def _check_slides(
    config: RunConfig, manifest: pd.DataFrame, report: dict[str, Any], progress: Callable[[int, int], None] | None
) -> Iterator[dict[str, Any]]:
    magnifications = tuple(config.model.magnifications)
    if len(set(magnifications)) < len(magnifications):
        report["stops"].append(f"model.magnifications names a resolution twice: {config.model.magnifications}")
    for done, found in enumerate(check_slides(config, manifest), start=1):
        if progress is not None:
            progress(done, len(manifest))
        yield asdict(found)


def _judge(config: RunConfig, report: dict[str, Any]) -> None:
    """Which problems of slides stop the run."""
    skips = {"prepare": config.prepare.on_bad_slide == "skip", "train": config.train.on_bad_slide == "skip"}
    stopping: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for slide in report["slides"]:
        kinds = {problem["kind"] for problem in slide["problems"]} & STOPS.keys()
        slide["stops"] = any(not skips.get(STOPS[kind], False) for kind in kinds)
        for kind in kinds:
            (skipped if skips.get(STOPS[kind], False) else stopping)[STOPS[kind]] += 1
    advice = {
        "prepare": "cannot be prepared: mend them, or set `prepare.on_bad_slide: skip`",
        "train": "cannot be read everywhere: mend them, or set `train.on_bad_slide: skip`",
        "always": "are too small for the model",
    }
    report["stops"] += [f"{count} slide(s) {advice[step]}" for step, count in stopping.items()]
    if skipped:
        report["warnings"].append(f"{sum(skipped.values())} slide(s) will be skipped")
    if skips["train"] and skipped["train"] > config.train.max_bad_slides:
        report["stops"].append(
            f"{skipped['train']} slides are damaged, more than `train.max_bad_slides` ({config.train.max_bad_slides})"
        )
    enlarged = Counter(
        level["mpp"] for slide in report["slides"] for level in slide["levels"] if level["how"] == "interpolate"
    )
    report["warnings"] += [
        f"{mpp:g} um/px is finer than {count} slide(s): their pixels are enlarged for it, and show no more detail"
        for mpp, count in sorted(enlarged.items())
    ]
    for start, words in _NOTES_OF_SLIDES.items():
        ids = [s["slide_id"] for s in report["slides"] if any(p["text"].startswith(start) for p in s["problems"])]
        if ids:
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            report["warnings"].append(f"{len(ids)} slide(s) {words}: {', '.join(ids[:_SHOWN])}{more}")
    few = {
        slide["cells"]: slide["slide_id"] for slide in report["slides"] if (slide["cells"] or _FEW_CELLS) < _FEW_CELLS
    }
    if few:
        count = sum((slide["cells"] or _FEW_CELLS) < _FEW_CELLS for slide in report["slides"])
        report["warnings"].append(
            f"{count} slide(s) have fewer than {_FEW_CELLS} cells to choose among, the fewest {few[min(few)]} ({min(few)}): lower "
            "`model.stride` or `prepare.overview_mpp`, or look everywhere (`model.test_method: exhaustive`)"
        )
    flags = Counter(flag for slide in report["slides"] for flag in slide["flags"])
    report["warnings"] += [
        f"{count} slide(s) deserve a look before they are trusted: {flag}" for flag, count in sorted(flags.items())
    ]
    same = defaultdict(list)
    for slide in report["slides"]:
        if slide["quickhash"]:
            same[slide["quickhash"]].append(slide["slide_id"])
    report["warnings"] += [
        f"slides {', '.join(slides)} are the same picture: keep one of them"
        for slides in same.values()
        if len(slides) > 1
    ]


def _mixed_patients(config: RunConfig, manifest: pd.DataFrame) -> list[str]:
    """That patients have slides of different labels, where a slide has one."""
    if not get_head(config.model.head).exclusive:
        return []
    labels = manifest.groupby("patient_id")["label"].unique()
    mixed = labels[labels.map(len) > 1]
    if not len(mixed):
        return []
    return [
        f"{len(mixed)} patient(s) have slides of different labels, such as {mixed.index[0]} ({', '.join(sorted(mixed.iloc[0]))}): "
        "they count as the rarest of them when patients are divided, and are not measured as patients"
    ]


def _check_division(config: RunConfig, manifest: pd.DataFrame, bad: set[str], report: dict[str, Any]) -> None:
    head, file = get_head(config.model.head), RunLayout.of(config).splits
    multi_label, classes = not head.exclusive, report["classes"]
    report["positive"] = head.positive_class(classes)
    try:
        splits = load_splits(file, config.splits, manifest)
    except SplitError as error:
        report["stops"].append(str(error))
        with contextlib.suppress(SplitError):  # the first one says all
            report["patients"]["across"] = patients_across(read_splits(file))
        return
    report["labels"] = count_labels(splits, multi_label, classes).to_dict("records")
    sound = splits[~splits["slide_id"].isin(bad)]
    if len(classes) < head.fewest_classes:
        report["stops"].append(
            f"the manifest has slides of {len(classes)} class(es) ({', '.join(classes)}); two are needed"
        )
    elif head.most_classes is not None and len(classes) > head.most_classes:
        report["stops"].append(f"`model.head: {head.name}` needs two classes; the manifest has {', '.join(classes)}")
    for fold in range(len(fold_names(splits))):
        try:
            report["warnings"] += check_fold(sound, fold, multi_label, classes)
        except SplitError as error:
            report["stops"].append(str(error))
