"""The parts of the default recipe, each taken away alone."""

from __future__ import annotations

from typing import Any

COHORTS = ("crc-tiles", "three-scales")
WITHOUT: dict[str, dict[str, Any]] = {
    "without start": {"model.saliency": 0.0},
    "not held": {"train.hold_attention": 0.0},
    "held throughout": {"train.hold_attention": 1.0},
    "without auxiliary": {"model.auxiliary": 0.0},
    "constant rate": {"train.schedule": "constant"},
    "with entropies": {"train.magnification_entropy": 0.3, "train.place_entropy": [0.03, 0.01, 0.0]},
}
WORDS = {
    "joint": "the default",
    "without start": "without the start on what is salient",
    "not held": "attention free from the first step",
    "held throughout": "attention held as it starts",
    "without auxiliary": "without a loss per magnification",
    "constant rate": "at a constant learning rate",
    "with entropies": "with the entropies of the recipe from nothing",
}
