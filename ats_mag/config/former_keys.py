"""Keys of configurations that earlier releases wrote, as they are called now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER_KEYS = frozenset({"feature", "feature_weights"})
FORMER_TISSUE = {"method": "otsu"}


def current_model_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """A section `model` of an earlier release that says, or leaves open, what the feature network is, in today's keys.

    Networks of `keras.applications` learnt as a whole and had no adapter.

    Args:
        values: keys of the section.
    """
    rest = {key: value for key, value in values.items() if key not in FORMER_KEYS}
    name, weights = values.get("feature", "small"), values.get("feature_weights")
    if name == "small":
        return {**rest, "encoder": f"small@{weights}" if weights else "small"}
    of = "" if weights == "imagenet" else f"@{weights or 'random'}"
    return {**rest, "encoder": f"keras:{name}{of}", "trainable": True, "adapter": None}


def current_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """A whole stored configuration, which had every key of its release, in today's keys."""
    model, train, prepare = config.get("model"), config.get("train"), config.get("prepare")
    now = dict(config)
    if isinstance(model, Mapping) and "encoder" not in model:
        now["model"] = current_model_keys(model)
    if isinstance(train, Mapping):
        now["train"] = _current_train_keys(train)
    if isinstance(prepare, Mapping) and "tissue" not in prepare:
        now["prepare"] = {**prepare, "tissue": FORMER_TISSUE}
    return now


def _current_train_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored section `train`: the default of `schedule` was `constant`, and is what the recipe has."""
    former = "hold_attention" not in values and values.get("schedule") == "constant"
    return {key: value for key, value in values.items() if not (former and key == "schedule")}


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training that are stored with its checkpoints, such as `model.head`, in today's keys."""
    model, train = (
        {key.removeprefix(f"{section}."): value for key, value in settings.items() if key.startswith(f"{section}.")}
        for section in ("model", "train")
    )
    rest = {key: value for key, value in settings.items() if not key.startswith(("model.", "train."))}
    now = {"model": model if "encoder" in model else current_model_keys(model), "train": _current_train_keys(train)}
    return {**rest, **{f"{section}.{key}": value for section, found in now.items() for key, value in found.items()}}
