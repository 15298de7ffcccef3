"""The configuration of each run on a cohort, what is said of it in the result file, and that file's name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ats_mag.cohort.manifest import load_manifest
from ats_mag.config.changes import is_free
from ats_mag.config.schema import RunConfig
from experiments.cohort_runs.results import ALL, COLOUR, JOINT, SINGLE, UNIFORM

QUICK: dict[str, Any] = {
    "splits.folds": 2,
    "prepare.workers": 1,
    "prepare.sheets": False,
    "model.patch_size": 16,
    "model.n_patches": 6,
    "train.epochs": 1,
    "train.batch_size": 4,
    "evaluate.resamples": 20,
    "evaluate.figures": False,
}  # of a trial on a stand-in for the data


def contestants(magnifications: list[float]) -> dict[str, dict[str, Any]]:
    """Each contestant's own changes of the cohort's configuration."""
    known: dict[str, dict[str, Any]] = {JOINT: {}}
    if len(magnifications) > 1:
        known |= {f"{SINGLE}, {mpp:g} um/px": {"model.magnifications": [mpp]} for mpp in magnifications}
    uniform = {"model.saliency": 0.0, "train.hold_attention": 1.0, "model.test_method": "priority"}
    return known | {UNIFORM: uniform, ALL: {}, COLOUR: {}}


def path_of(contestant: str, seed: int, out: Path) -> Path:
    name = contestant.replace(", ", "-").replace(" ", "-").replace("/", "-")
    return out / f"{name}-seed{seed}.json"


def configure(cohort: Path, name: str, changes: Mapping[str, Any]) -> Path:
    """The cohort's configuration with changes (`{"train.seed": 1}`) and a run's folder of its own; records are shared."""
    settings = yaml.safe_load((cohort / "config.yaml").read_text())
    for key, value in changes.items():
        section, _, last = key.partition(".")
        settings[section] = (settings.get(section) or {}) | {last: value}
    settings["run"] = f"run-{name}"
    prepare = settings["prepare"] = settings.get("prepare") or {}
    prepare["records"] = prepare.get("records") or "records"
    path = cohort / f"config-{name}.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return path


def description(config: RunConfig, contestant: str, seed: int) -> dict[str, Any]:
    """All that the measures depend on, as plain values: settings and slides, but not where these lie."""
    values = config.model_dump(mode="json")
    sections = ("splits", "prepare") if contestant == COLOUR else ("splits", "prepare", "model", "train")
    found: dict[str, Any] = {"contestant": contestant, "seed": seed, "slides": slides_in_words(config)}
    for section in sections:
        found[section] = {key: v for key, v in values[section].items() if not is_free(f"{section}.{key}")}
    found["head"] = values["model"]["head"]
    found["default_mpp"] = values["data"]["default_mpp"]
    found["evaluate"] = {key: v for key, v in values["evaluate"].items() if key != "figures"}
    return found


def slides_in_words(config: RunConfig) -> str:
    """How many slides the manifest names, and a digest of their patients, classes, resolutions and parts."""
    manifest = load_manifest(config)
    columns = [name for name in ("slide_id", "patient_id", "label", "mpp", "split", "site") if name in manifest]
    rows = manifest[columns].sort_values("slide_id").to_csv(index=False)
    return f"{len(manifest)}, {hashlib.sha256(rows.encode()).hexdigest()[:12]}"
