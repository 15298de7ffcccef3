"""How each kind of contestant is run; a module of its own, as it loads TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.three_scales.all_patches import all_patches, joint_features
from experiments.three_scales.baselines import colour, overview
from experiments.three_scales.data import Cohort
from experiments.three_scales.sampled import sampled
from experiments.three_scales.settings import Settings

RUN: dict[str, Callable[[Cohort, Settings, Path], dict[str, Any]]] = {
    "sampled": sampled,
    "all patches": all_patches,
    "joint's features": joint_features,
    "overview": overview,
    "colour": colour,
}
