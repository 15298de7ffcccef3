"""Training one fold of a run, from where it was interrupted."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ats_mag.config.changes import is_free
from ats_mag.config.schema import DEFAULT_COPIES_GB, RunConfig
from ats_mag.model.heads import get_head
from ats_mag.runs.run_folder import BAD_SLIDES_FILE
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.training.fold_data import fold_records

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier


def fold_folder(config: RunConfig, fold: int) -> Path:
    """Where everything of a fold goes."""
    return config.run / f"fold-{fold}"


def is_trained(config: RunConfig, fold: int) -> bool:
    """Whether a fold's training is complete."""
    return (fold_folder(config, fold) / "model.keras").exists()


def train_fold(config: RunConfig, fold: int, callbacks: list[Any] | None = None) -> SlideClassifier:
    """Trains the model of a fold and writes `model.keras` and `history.csv` into `fold-K` of the run's folder.

    An interrupted training goes on from its last checkpoint, and ends with the weights that it would have had (see
    `TrainConfig.deterministic`, which holds for the whole process). A complete one is not repeated.

    Args:
        config: of the run.
        fold: its number.
        callbacks: more Keras callbacks. Their `params` hold, besides Keras' own, `fold`, `steps`, `done` (batches of
            all epochs that were trained before) and `resumed` (where that was, in words; None: at the beginning).

    Returns:
        The trained model; with `train.monitor` or `train.patience`, that of the best epoch.

    Raises:
        RecordError, ValueError, OSError: for records, settings or slides that cannot be used.
        SlideError: more slides than `train.max_bad_slides` could not be read.
        RuntimeError: the loss is not finite, or another process is training the fold.
    """
    from ats_mag.model.saving import load_model
    from ats_mag.system.lock import held_lock

    out = fold_folder(config, fold)
    config.run.mkdir(parents=True, exist_ok=True)
    # Beside the fold's folder, where any file means that training has begun.
    lock = config.run / f".{out.name}.lock"
    with held_lock(lock, f"another process is training into {str(out)!r}: wait for it, or stop it first"):
        if is_trained(config, fold):
            return load_model(out / "model.keras")
        return _train(config, fold, callbacks or [])


def _train(config: RunConfig, fold: int, callbacks: list[Any]) -> SlideClassifier:
    import keras
    import tensorflow as tf

    from ats_mag.runs.run_folder import read_run
    from ats_mag.slides.errors import plain_errors
    from ats_mag.training.build import build_model
    from ats_mag.training.devices import batch_for, strategy_of

    out = fold_folder(config, fold)
    if config.train.tensorboard:
        from ats_mag.training.tensorboard import check_installed

        check_installed()
    parts = fold_records(config, fold)
    classes = read_run(config)["classes"]
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.train.seed)
    strategy = strategy_of(config.train)
    sizes = {name: batch_for(len(part), config.train.batch_size, strategy) for name, part in parts.items() if part}
    batches = -(-len(parts["train"]) // sizes["train"])
    with strategy.scope() if strategy is not None else contextlib.nullcontext():
        overview_mpp = parts["train"][0]["overview_mpp"]
        model = build_model(config, classes, overview_mpp, batches * config.train.epochs, sizes["train"])
    check_lattices([r for records in parts.values() for r in records], model)
    with plain_errors():
        _fit(model, config, fold, parts, sizes, callbacks)
    model.on_error = "raise"  # what is skipped while training must not pass in silence when the model is used
    unfinished = out / ".model.tmp.keras"
    model.save(unfinished)
    os.replace(unfinished, out / "model.keras")
    return model


def _fit(
    model: SlideClassifier,
    config: RunConfig,
    fold: int,
    parts: dict[str, list[dict[str, Any]]],
    sizes: dict[str, int],
    callbacks: list[Any],
) -> None:
    """Trains from the last checkpoint to the end, in batches of `sizes`, and gives the model its best weights."""
    import keras

    from ats_mag.records.dataset import dataset
    from ats_mag.records.epoch_order import EpochOrder, balanced_weights
    from ats_mag.sampling.schedules import ScheduleStrength
    from ats_mag.training.bad_slides import BadSlides
    from ats_mag.training.checkpoints import Checkpoints
    from ats_mag.training.one_training import OneTraining
    from ats_mag.training.resumable import Position

    settings, out = config.train, fold_folder(config, fold)
    batches = -(-len(parts["train"]) // sizes["train"])
    multi = not get_head(config.model.head).exclusive
    labels = [r["label"] for r in parts["train"]]
    order = EpochOrder(labels, settings.seed, settings.sampling)
    out.mkdir(parents=True, exist_ok=True)
    copies = local_copies(settings.local_copies, settings.local_copies_gb)
    bad = None
    if settings.on_bad_slide == "skip":
        paths = {os.path.join(config.data.slides, r["path"]): r["slide_id"] for part in parts.values() for r in part}
        bad = BadSlides(out / BAD_SLIDES_FILE, paths, settings.max_bad_slides, model, copies)
        model.on_unreadable = bad.watch
    position = Position(
        Checkpoints(out / "checkpoints"), out / "history.csv", order, batches, settings.checkpoint_minutes,
        _best(config, model, bool(parts["validation"])), bad, _settings(config, parts, sizes),
    )  # fmt: skip
    resumed = position.restore(model)
    done = position.epoch * batches + position.batch

    options: dict[str, Any] = {
        "multi_label": multi,
        "multiple": max(64, config.model.stride),
        "local_copies": copies,
    }
    augment = settings.augment
    changed = augment.flips or augment.stain or augment.brightness or augment.contrast
    training = options | {
        "batch_size": sizes["train"],
        "augment": augment if changed else None,
        "weights": balanced_weights(labels) if settings.class_weights == "balanced" else None,
    }
    slides, classes = config.data.slides, model.classes
    validation = None
    if parts["validation"]:
        validation = dataset(parts["validation"], slides, classes, sizes["validation"], **options)
    # Explore first, then let the attention sharpen.
    steps = batches * settings.epochs
    sharpen = keras.optimizers.schedules.PiecewiseConstantDecay([steps * 6 // 10, steps * 8 // 10], [0.03, 0.01, 0.0])
    schedule = ScheduleStrength(sharpen)
    schedule.step = done
    every = [schedule, position, *callbacks]
    if settings.tensorboard:
        from ats_mag.training.tensorboard import Board, watched

        inputs = watched(parts, settings.watch, slides, config.model.stride)
        every.append(Board(out / "tensorboard", inputs))
    where = f"epoch {position.epoch + 1}, batch {position.batch}" if resumed else None
    training_run = OneTraining(
        every, model=model, epochs=settings.epochs, steps=batches, fold=fold, done=done, resumed=where
    )

    def fit(epochs: int, order: EpochOrder) -> None:
        position.order = order
        data = dataset(parts["train"], slides, classes, order=order, **training)
        keras.Model.fit(
            model, data, validation_data=validation, initial_epoch=position.epoch, epochs=epochs, shuffle=False,
            verbose=0, callbacks=training_run,
        )  # fmt: skip

    if not position.ended:
        training_run.begin()
        if position.batch:  # what is left of the epoch; the data of a whole one are longer
            order.epoch = position.epoch
            fit(position.epoch + 1, order.starting_at(position.batch * sizes["train"]))
        if not (position.ended or model.stop_training):  # a callback may have asked for it
            fit(settings.epochs, order)
        training_run.end()
        model.warn_unlearnt()
    model.on_unreadable = None
    if position.best_weights:
        model.set_weights(position.best_weights)


def _best(config: RunConfig, model: SlideClassifier, validated: bool) -> Any:
    """The metric to follow, if any; refuses one that will not be logged."""
    from ats_mag.training.best_epoch import BestEpoch

    settings = config.train
    if settings.monitor is None and settings.patience is None:
        return None
    monitor = settings.monitor or ("val_loss" if validated else "cross_entropy")
    names = [m.name for m in get_head(config.model.head).metrics()] + [m.name for m in model.metrics]
    logged = ["loss", *sorted(set(names) - {"loss", "compile_metrics"})]
    logged += [f"val_{name}" for name in logged] if validated else []
    if monitor not in logged:
        hint = "" if validated else " (there is no validation part)"
        raise ValueError(f"train.monitor must be one of {', '.join(logged)}{hint}. Received: {monitor!r}")
    return BestEpoch(monitor, settings.patience)


def _settings(config: RunConfig, parts: dict[str, list[dict[str, Any]]], sizes: dict[str, int]) -> dict[str, Any]:
    """What the result of a training depends on, as plain values."""
    import hashlib

    sections = {"model": config.model.model_dump(mode="json"), "train": config.train.model_dump(mode="json")}
    found = {f"{s}.{key}": value for s, values in sections.items() for key, value in values.items()}
    found = {key: value for key, value in found.items() if not is_free(key)}
    found |= {f"batch of {part} on the devices at hand": size for part, size in sizes.items()}
    for part, records in parts.items():
        names = "\n".join(f"{r['slide_id']}\t{r['label']}" for r in records)
        found[f"slides of {part}"] = f"{len(records)}, {hashlib.sha256(names.encode()).hexdigest()[:12]}"
    return found


def check_lattices(records: list[dict[str, Any]], model: SlideClassifier) -> None:
    """Every slide's lattice must hold N cells, whatever batch it comes in."""
    from ats_mag.geometry.lattice import MPP_UNIT

    for r in records:
        _, _, width, height, mpp = (int(v) for v in r["geometry"])
        rows, columns = (-(-side * mpp * MPP_UNIT // model.lattice.cell_um) for side in (height, width))
        cells = int(rows * columns) * len(model.magnifications)
        if model.n_patches > cells:
            raise ValueError(
                f"slide {r['slide_id']!r} has a lattice of {cells} cells, fewer than model.n_patches={model.n_patches}: "
                "lower model.n_patches or model.stride, or prepare with a smaller prepare.overview_mpp"
            )


def local_copies(folder: str | os.PathLike[str] | None, gigabytes: float = DEFAULT_COPIES_GB) -> LocalCopies | None:
    """`LocalCopies` of at most so many GB (10^9 bytes), where a folder is given."""
    return None if folder is None else LocalCopies(folder, int(gigabytes * 1e9))
