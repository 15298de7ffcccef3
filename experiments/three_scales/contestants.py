"""Who takes part in the experiment on slides of three scales, and with which settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_prep.three_scale_slides.layout import MAGNIFICATIONS
from experiments.common.result_files import RESULTS
from experiments.three_scales.data import Cohort
from experiments.three_scales.results import EVERY, FEATURES
from experiments.three_scales.settings import GRADIENT, Settings

OUT = RESULTS / "three-scales"
JOINT = {f"joint, {m}": {"method": m} for m in ("priority", "sequential", "replacement", GRADIENT)}
SINGLE = {f"single, {mpp:g} um-px": {"magnifications": (mpp,)} for mpp in MAGNIFICATIONS}
SAMPLED: dict[str, dict[str, Any]] = {**JOINT, **SINGLE, "uniform": {"uniform": True}}
ALL = {EVERY: {}} | {f"all patches, {mpp:g} um-px": {"magnifications": (mpp,)} for mpp in MAGNIFICATIONS}
_ALWAYS = {"overview_mpp", "stride", "seed"}
_TRAINED = {*_ALWAYS, "batch_size", "epochs", "learning_rate"}
USED = {
    "all patches": {*_TRAINED, "magnifications", "patch_size"},
    "joint's features": {*_TRAINED, "magnifications", "patch_size"},
    "overview": _TRAINED,
    "colour": _ALWAYS,
}  # else: all
CONTESTANTS = (*SAMPLED, *ALL, FEATURES, "overview", "colour")


def path_of(contestant: str, seed: int, out: Path = OUT) -> Path:
    """The result file of a run."""
    return out / f"{contestant.replace(', ', '-').replace(' ', '-')}-seed{seed}.json"


def kind_of(contestant: str) -> str:
    """How a contestant is trained, a key of `runs.RUN`."""
    if contestant == FEATURES:
        return "joint's features"
    return "sampled" if contestant in SAMPLED else "all patches" if contestant in ALL else contestant


def settings_of(contestant: str, seed: int, quick: bool) -> Settings:
    """The settings of a run; `quick`: of two epochs."""
    changed = {"epochs": 2, "hold_epochs": 0, "attention_epochs": 0} if quick else {}
    return Settings(seed=seed, **changed, **(SAMPLED | ALL).get(contestant, {}))


def configuration_of(contestant: str, settings: Settings, cohort: Cohort) -> dict[str, Any]:
    """What a result depends on."""
    told = settings.model_dump(mode="json", include=USED.get(kind_of(contestant)))
    return {"contestant": contestant, "settings": told, "slides": cohort.description}
