"""The check of a whole run: configuration, manifest, division, slides."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from ats_mag.cohort.manifest import ManifestError, compare_folder, load_manifest
from ats_mag.cohort.patient_division import SplitError
from ats_mag.cohort.splits import check_fold, count_labels, fold_names, load_splits, patients_across, read_splits
from ats_mag.model.heads import get_head
from ats_mag.runs.check_slide import STOPS, SlideJob, check_slide, given_up
from ats_mag.runs.comparability import compare, settled, tissue_of
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run_file import RunError, read_run_file
from ats_mag.slides.own_mask import OwnMaskError, own_masks
from ats_mag.slides.paths import printable
from ats_mag.system.atomic_files import digest
from ats_mag.system.processes import run_in_processes

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig


def validate(config: RunConfig, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Checks everything that a run needs, in parallel processes, and writes nothing.

    Args:
        config: of the run.
        progress: called with how many slides were looked at, and of how many.

    Returns:
        A report, fit for JSON:

        - `stops`: sentences on what would stop the run; it may start where there is none.
        - `warnings`: sentences on what had better be known.
        - `slides`: per slide what `check_slide.SlideCheck` says, and whether its problems stop the run (`stops`).
        - `labels`: slides and patients per fold, part and label; `left_out`: slides by label that `data.labels` leaves out.
        - `patients`: their number, and which stand in several parts of a fold (`across`).
        - `folder`: slides `not_in_table` and `not_in_folder`.
    """
    report: dict[str, Any] = {"stops": [], "warnings": [], "slides": [], "labels": [], "left_out": {}}
    report |= {"patients": {"number": 0, "across": []}, "folder": {"not_in_table": [], "not_in_folder": []}}
    splits = RunLayout.of(config).splits
    try:
        config = settled(config, read_run_file(RunLayout.of(config).run))
        manifest = load_manifest(config)
        own_masks(manifest, config.prepare.tissue.masks)  # says what is missing before any slide is read
        beside = compare_folder(manifest, config.data.slides)
        report["folder"] = {key: [printable(name) for name in names] for key, names in beside._asdict().items()}
        report["stops"] += compare(config, manifest, digest(splits) if splits.exists() else None).problems
    except (ManifestError, NotADirectoryError, RunError, OwnMaskError) as error:
        report["stops"].append(str(error))
        return report
    report["left_out"] = manifest.attrs["left_out"]
    report["warnings"] += manifest.attrs["notes"]
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
    drawn = own_masks(manifest, config.prepare.tissue.masks)
    jobs = [
        SlideJob(
            slide_id,
            path,
            str(config.data.slides),
            None if mpp != mpp else mpp,
            config.data.default_mpp,
            config.prepare.overview_mpp,
            magnifications,
            config.model.patch_size,
            config.model.n_patches,
            config.model.stride,
            config.prepare.empty_mask,
            tissue_of(config),
            own,
            config.prepare.tissue.least_share,
        )
        for (slide_id, path, mpp), own in zip(
            manifest[["slide_id", "path", "mpp"]].itertuples(index=False), drawn, strict=True
        )
    ]
    workers = config.prepare.workers or os.cpu_count() or 1
    seconds = 60 * config.prepare.minutes_per_slide
    checks = run_in_processes(check_slide, jobs, workers, given_up, seconds)
    for done, (_, found) in enumerate(checks, start=1):
        if progress is not None:
            progress(done, len(jobs))
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


def _check_division(config: RunConfig, manifest: pd.DataFrame, bad: set[str], report: dict[str, Any]) -> None:
    head, file = get_head(config.model.head), RunLayout.of(config).splits
    multi_label = not head.exclusive
    try:
        splits = load_splits(file, config.splits, manifest)
    except SplitError as error:
        report["stops"].append(str(error))
        with contextlib.suppress(SplitError):  # the first one says all
            report["patients"]["across"] = patients_across(read_splits(file))
        return
    report["labels"] = count_labels(splits, multi_label).to_dict("records")
    sound = splits[~splits["slide_id"].isin(bad)]
    classes = sorted({row["label"] for row in report["labels"]})
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
