"""What the result of a training depends on; a training goes on only with what it began with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ats_mag.config.changes import changed_keys, default_of, is_free, value_at
from ats_mag.config.former_keys import current_settings
from ats_mag.training.best_epoch import BestEpoch
from ats_mag.training.build import knows_features

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig
    from ats_mag.model.classifier import SlideClassifier


def settings_of(config: RunConfig, parts: dict[str, list[dict[str, Any]]], sizes: dict[str, int]) -> dict[str, Any]:
    """What the result of a training depends on, as plain values.

    Args:
        config: of the run.
        parts: records of each part of the fold.
        sizes: slides of a batch of each part.
    """
    sections = {"model": config.model.model_dump(mode="json"), "train": config.train.model_dump(mode="json")}
    found = {f"{s}.{key}": value for s, values in sections.items() for key, value in values.items()}
    found = {key: value for key, value in found.items() if not is_free(key)}
    found |= {f"batch of {part} on the devices at hand": size for part, size in sizes.items()}
    for part, records in parts.items():
        names = "\n".join(f"{r['slide_id']}\t{r['label']}" for r in records)
        found[f"slides of {part}"] = f"{len(records)}, {hashlib.sha256(names.encode()).hexdigest()[:12]}"
    return found


def check_settings(before: dict[str, Any], now: dict[str, Any], folder: str) -> None:
    """Refuses to go on with a training under other settings.

    Args:
        before: as `settings_of` gave them when it began.
        now: as `settings_of` gives them.
        folder: of the training, for the message.

    Raises:
        ValueError: a setting differs that changes the result.
    """
    before = current_settings(before)
    changed = []
    for key, value in sorted(now.items()):
        then = before[key] if key in before else default_of(key)
        for name in changed_keys(then, value, key):
            inside = name[len(key) + 1 :]
            changed.append(f"{name}: {value_at(then, inside)!r} -> {value_at(value, inside)!r}")
    if changed:
        raise ValueError(
            f"{folder!r} holds a run that began with other settings ({'; '.join(changed)}): change them back, or choose "
            "another run folder, or remove this one to begin anew"
        )


def monitored(config: RunConfig, validated: bool) -> str | None:
    """The metric that chooses the epoch whose weights are kept, see `TrainConfig.monitor`; None: the last epoch's are.

    Args:
        config: of the run.
        validated: whether the fold has a validation part.
    """
    settings = config.train
    if settings.monitor is not None:
        return settings.monitor
    if validated and (settings.patience is not None or knows_features(config.model)):
        return "val_loss"
    return None if settings.patience is None else "cross_entropy"


def epoch_to_choose(config: RunConfig, model: SlideClassifier, validated: bool) -> BestEpoch | None:
    """Follows the metric that chooses the epoch whose weights are kept; None: the last epoch's are.

    Args:
        config: of the run.
        model: to be trained.
        validated: whether the fold has a validation part.

    Raises:
        ValueError: `train.monitor` names what will not be logged.
    """
    from ats_mag.model.heads import get_head

    monitor = monitored(config, validated)
    if monitor is None:
        return None
    names = [m.name for m in get_head(config.model.head).metrics()] + [m.name for m in model.metrics]
    logged = ["loss", *sorted(set(names) - {"loss", "compile_metrics"})]
    logged += [f"val_{name}" for name in logged] if validated else []
    if monitor not in logged:
        hint = "" if validated else " (there is no validation part)"
        raise ValueError(f"train.monitor must be one of {', '.join(logged)}{hint}. Received: {monitor!r}")
    return BestEpoch(monitor, config.train.patience)
