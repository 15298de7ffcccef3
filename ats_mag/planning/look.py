"""Finding what a plan rests on: the slides' properties, their tissue, the machine, the encoder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ats_mag.config.schema import DEFAULT_ENCODER, ModelConfig, RunConfig
from ats_mag.planning.facts import EncoderFacts, Facts, Machine, SlideFacts, TissueFacts
from ats_mag.planning.properties import PropertiesJob, given_up, look_at_one
from ats_mag.runs.check_slide import STOPS
from ats_mag.runs.check_slides import check_slides
from ats_mag.system import memory
from ats_mag.system.processes import run_in_processes
from ats_mag.training.build import knows_features


def look_at_properties(config: RunConfig, manifest: pd.DataFrame) -> tuple[tuple[SlideFacts, ...], dict[str, str]]:
    """What the files say of themselves.

    Args:
        config: where slides are, and `data.default_mpp`.
        manifest: as `load_manifest` gives it.

    Returns:
        The slides that can be planned with, in the manifest's order; and of the others why not, by id.
    """
    jobs = [
        PropertiesJob(slide_id, path, str(config.data.slides), None if mpp != mpp else mpp, config.data.default_mpp)
        for slide_id, path, mpp in manifest[["slide_id", "path", "mpp"]].itertuples(index=False)
    ]
    workers = min(config.prepare.workers or os.cpu_count() or 1, 1 + len(jobs) // 20)
    looked = run_in_processes(look_at_one, jobs, workers, given_up, 60 * config.prepare.minutes_per_slide)
    found = {job.slide_id: what for job, what in looked}
    bad = {slide_id: what for slide_id in manifest["slide_id"] if isinstance(what := found[slide_id], str)}
    return tuple(what for job in jobs if isinstance(what := found[job.slide_id], SlideFacts)), bad


def look_at_tissue(config: RunConfig, facts: Facts, progress: Callable[[int, int], None] | None = None) -> Facts:
    """The facts with what the overviews show, and which patches cannot be read.

    Args:
        config: as far as it is planned.
        facts: without that.
        progress: called with how many slides were looked at, and of how many.
    """
    tissue: dict[str, TissueFacts] = {}
    bad, damaged = dict(facts.bad), {}
    rows = facts.manifest[facts.manifest["slide_id"].isin([slide.slide_id for slide in facts.slides])]
    for done, found in enumerate(check_slides(config, rows), start=1):
        if progress is not None:
            progress(done, len(rows))
        problems = {STOPS.get(problem["kind"]): problem["text"] for problem in found.problems}
        if "prepare" in problems or found.cells is None:
            bad[found.slide_id] = problems.get("prepare", "it cannot be read")
        elif "train" in problems:
            damaged[found.slide_id] = problems["train"]
        else:
            cells = found.tissue_cells or found.cells  # all, where there is no tissue
            tissue[found.slide_id] = TissueFacts(found.tissue or 0.0, found.cells, cells)
    slides = tuple(slide for slide in facts.slides if slide.slide_id in tissue)
    order = {slide.slide_id: tissue[slide.slide_id] for slide in slides}
    return replace(facts, slides=slides, tissue=order, bad=bad, damaged=damaged)


def look_at_machine(folder: Path) -> Machine:
    """This machine, for a run that will lie in a folder."""
    import tensorflow as tf

    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    gpus = tuple(gpu.name for gpu in tf.config.list_physical_devices("GPU"))
    return Machine(
        memory.available(), shutil.disk_usage(there).free, os.cpu_count() or 1, gpus, _gpu_memory() if gpus else None
    )


def _gpu_memory() -> int | None:
    """Free bytes of the first GPU; None: it does not say."""
    ask = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(said.split()[0]) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def look_at_encoder(settings: ModelConfig) -> EncoderFacts:
    """What the encoder of a configuration asks for; nothing of it is read."""
    from ats_mag.model.encoders.names import LITE0, SMALL
    from ats_mag.model.encoders.presets import preset_named, preset_of_folder

    asked = settings.encoder or DEFAULT_ENCODER
    name = asked.partition("@")[0]
    known, frozen = knows_features(settings), settings.trainable is False
    if name == SMALL:
        return EncoderFacts(asked, known, False, 64, 64)
    if name == LITE0:
        return EncoderFacts(asked, known, frozen)
    preset = preset_named(name) or (preset_of_folder(Path(name)) if Path(name).is_dir() else None)
    size, mpp = (preset.image_size, preset.mpp) if preset else (224, ())
    return EncoderFacts(asked, known, frozen, size, size // 2, False, mpp)
