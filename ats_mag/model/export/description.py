"""What an exported model says of itself."""

from __future__ import annotations

from typing import Any

from ats_mag.model.network import SlideNetwork
from ats_mag.system.versions import versions

CARD = "assets.extra/ats_mag.json"  # for programs
MODEL_CARD = "model_card.json"  # for people
INTENDED_USE = (
    "Research on slides like those it was trained on. Its makers stated no other use, and none was validated: it is no medical "
    "device and must not be used for diagnosis."
)
LIMITS = (
    "Measured on slides of the same cohort only, if at all: other scanners, stains, sites and patients may give other results.",
    "It sees the whole slide at low resolution and a few patches of it; what is in none of them does not count.",
    "Probabilities are not calibrated for another share of the classes than in training.",
)


def describe(model: SlideNetwork) -> dict[str, Any]:
    """What a user of the SavedModel must know of it."""
    return {
        "classes": model.classes,
        "positive_class": model.head_kind.positive_class(model.classes),
        "head": model.head_kind.name,
        "magnifications_um_per_px": list(model.magnifications),
        "overview_um_per_px": model.lattice.overview_mpp,
        "stride": model.lattice.stride,
        "tissue": model.tissue.to_dict(),
        "patch_size": model.patch_size,
        "test_method": model.test_method,
        "test_n_patches": model.test_n_patches,
    }


def card_without_run(model: SlideNetwork, intended_use: str | None = None) -> dict[str, Any]:
    """The card of a model of which no run is known.

    Args:
        model: the model.
        intended_use: in the words of its makers. None: `INTENDED_USE`.

    Returns:
        Values for JSON: `model`, `model_file`, `training`, `measures`, `versions`, `intended_use`, `limits`. What is not known
        is None.
    """
    return {
        "model": describe(model),
        "model_file": None,
        "training": None,
        "measures": None,
        "versions": {"training": None, "export": versions()},
        "intended_use": intended_use or INTENDED_USE,
        "limits": list(LIMITS),
    }
