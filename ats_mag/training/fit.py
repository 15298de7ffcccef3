"""Training one fold of a run, from where it was interrupted."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ats_mag.geometry.multiples import ceil_div
from ats_mag.training.fold_data import fold_records
from ats_mag.training.method_of_testing import method_of_testing, most_cells
from ats_mag.training.verdict import fold_spread

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.model.feature_cache.cache import FeatureCache
    from ats_mag.model.recipe import Recipe
    from ats_mag.records.epoch_order import EpochOrder
    from ats_mag.runs.run import Run
    from ats_mag.slides.copies.local_copies import LocalCopies
    from ats_mag.training.hosts.hosts import Hosts


def train_fold(
    run: Run, fold: int, callbacks: Sequence[keras.callbacks.Callback] = (), hosts: Hosts | None = None
) -> SlideClassifier:
    """Trains the model of a fold and writes `model.keras` and `history.csv` into `fold-K` of the run's folder.

    An interrupted training goes on from its last checkpoint, and ends with the weights that it would have had (see
    `TrainConfig.deterministic`, which holds for the whole process). A complete one is not repeated.

    Args:
        run: the run.
        fold: its number.
        callbacks: more Keras callbacks. Their `params` hold, besides Keras' own, `fold`, `steps`, `done` (batches of
            all epochs that were trained before) and `resumed` (where that was, in words; None: at the beginning).
        hosts: that train together, each of which calls this within `Hosts.together`; the first one writes. Results are those of
            one process on the same draws, up to the order of sums. None: this process alone.

    Returns:
        The trained model; with `train.monitor` or `train.patience`, that of the best epoch.

    Raises:
        RecordError, ValueError, OSError: for records, settings or slides that cannot be used; or a checkpoint that the
            training cannot go on from, see `ResumableTraining.restore`.
        SlideError: more slides than `train.max_bad_slides` could not be read.
        RuntimeError: the loss is not finite, another process is training the fold, or one of the hosts is lost (`HostLost`).
    """
    from ats_mag.model.saving import load_model
    from ats_mag.system.lock import held_lock

    files = run.layout.fold(fold)
    run.layout.folder.mkdir(parents=True, exist_ok=True)
    refusal = f"another process is training into {str(files.folder)!r}: wait for it, or stop it first"
    writes = hosts is None or hosts.chief
    with held_lock(files.lock, refusal) if writes else contextlib.nullcontext(True) as locked:
        if not locked:
            warnings.warn(
                f"the file system of {str(run.layout.folder)!r} has no locks (flock): see to it yourself that no two processes "
                "train one fold at once",
                stacklevel=2,
            )
        if files.is_trained if hosts is None else hosts.of_chief("trained", files.is_trained):
            return load_model(files.model)
        return _train(run, fold, callbacks, hosts)


def _train(run: Run, fold: int, callbacks: Sequence[keras.callbacks.Callback], hosts: Hosts | None) -> SlideClassifier:
    import keras
    import tensorflow as tf

    from ats_mag.model.saving import save_model
    from ats_mag.runs.features_seen import cached_features
    from ats_mag.slides.errors import naming_key, plain_errors
    from ats_mag.training.build import build_model, recipe_of
    from ats_mag.training.devices import batch_for, strategy_of

    settings, files = run.config.train, run.layout.fold(fold)
    if settings.tensorboard:
        from ats_mag.training.tensorboard import check_installed

        check_installed()
    parts = fold_records(run, fold)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    strategy = strategy_of(settings) if hosts is None else hosts.strategy
    sizes = {
        name: batch_for(len(part), settings.batch_size, strategy) if hosts is None else settings.batch_size
        for name, part in parts.items()
        if part
    }
    batches = ceil_div(len(parts["train"]), sizes["train"])
    recipe = recipe_of(run.config)
    with strategy.scope() if strategy is not None else contextlib.nullcontext():
        overview_mpp = parts["train"][0]["overview_mpp"]
        model = build_model(run.config, recipe, run.classes, overview_mpp, batches * settings.epochs, sizes["train"])
    records = [r for part in parts.values() for r in part]
    check_lattices(records, model)
    left_open = run.config.model.test_method is None
    cells = most_cells(model.lattice, records)
    if left_open:
        model.test_method = method_of_testing(cells)
    copies = run.local_copies()
    key = "train.on_bad_slide" if settings.on_bad_slide == "raise" else None
    writes = hosts is None or hosts.chief
    with naming_key(key), plain_errors(), cached_features(run, model, copies, writes) as cache:
        _fit(model, recipe, run, fold, parts, sizes, copies, cache, callbacks, hosts)
    if left_open and writes:
        model.test_method = method_of_testing(cells, fold_spread(run, fold))
    model.on_error = "raise"  # what is skipped while training must not pass in silence when the model is used
    if writes:
        save_model(model, files.model)
    if hosts is not None:
        hosts.of_chief("saved")
    return model


def _fit(
    model: SlideClassifier,
    recipe: Recipe,
    run: Run,
    fold: int,
    parts: dict[str, list[dict[str, Any]]],
    sizes: dict[str, int],
    copies: LocalCopies | None,
    cache: FeatureCache | None,
    callbacks: Sequence[keras.callbacks.Callback],
    hosts: Hosts | None,
) -> None:
    """Trains from the last checkpoint to the end, in batches of `sizes`, and gives the model its best weights."""
    import keras

    from ats_mag.records.dataset import dataset
    from ats_mag.records.epoch_order import EpochOrder, balanced_weights
    from ats_mag.training.bad_slides import BadSlides
    from ats_mag.training.cache_log import CacheLog
    from ats_mag.training.checkpoints import Checkpoints
    from ats_mag.training.one_training import OneTraining
    from ats_mag.training.resumable import ResumableTraining
    from ats_mag.training.settings import epoch_to_choose, settings_of

    config, files = run.config, run.layout.fold(fold)
    settings, slides = config.train, config.data.slides
    batches = ceil_div(len(parts["train"]), sizes["train"])
    labels = [r["label"] for r in parts["train"]]
    order = EpochOrder(labels, settings.seed, settings.sampling)
    files.folder.mkdir(parents=True, exist_ok=True)
    bad = None
    if settings.on_bad_slide == "skip":
        paths = {os.path.join(slides, r["path"]): r["slide_id"] for part in parts.values() for r in part}
        bad = BadSlides(files.bad_slides, paths, settings.max_bad_slides, model, copies, hosts)
        model.on_unreadable = bad.note_unreadable
    if hosts is not None:
        model.on_progress = hosts.progress
    resumable = ResumableTraining(
        Checkpoints(files.checkpoints), files.history, order, batches, settings.checkpoint_minutes,
        epoch_to_choose(config, model, bool(parts["validation"])), bad, settings_of(config, parts, sizes), hosts,
    )  # fmt: skip
    resumed = resumable.restore(model)
    done = resumable.epoch * batches + resumable.batch

    options: dict[str, Any] = {
        "multi_label": run.multi_label,
        "multiple": model.lattice.overview_multiple(),
        "local_copies": copies,
    }
    augment = settings.augment
    changed = augment.flips or augment.stain or augment.brightness or augment.contrast
    training = options | {
        "batch_size": sizes["train"],
        "augment": augment if changed else None,
        "weights": balanced_weights(labels) if settings.class_weights == "balanced" else None,
    }
    validation = None
    if parts["validation"]:
        validation = data_of(hosts, dataset, parts["validation"], slides, run.classes, sizes["validation"], **options)
    seen = [] if cache is None else [CacheLog(cache)]  # before the history is written
    every = [*recipe.callbacks(batches * settings.epochs, done), *seen, resumable, *callbacks]
    if settings.tensorboard and (hosts is None or hosts.chief):
        from ats_mag.training.tensorboard import TensorBoardLog, slides_to_show

        shown = slides_to_show(parts, settings.watch, slides, config.model.stride)
        every.append(TensorBoardLog(files.tensorboard, shown))
    where = f"epoch {resumable.epoch + 1}, batch {resumable.batch}" if resumed else None
    whole = OneTraining(every, model=model, epochs=settings.epochs, steps=batches, fold=fold, done=done, resumed=where)

    def fit(epochs: int, order: EpochOrder) -> None:
        resumable.order = order
        data = data_of(hosts, dataset, parts["train"], slides, run.classes, order=order, **training)
        keras.Model.fit(
            model, data, validation_data=validation, initial_epoch=resumable.epoch, epochs=epochs, shuffle=False,
            verbose=0, callbacks=whole,
        )  # fmt: skip

    if not resumable.ended:
        whole.begin()
        if resumable.batch:  # what is left of the epoch; the data of a whole one are longer
            order.epoch = resumable.epoch
            fit(resumable.epoch + 1, order.starting_at(resumable.batch * sizes["train"]))
        if not (resumable.ended or model.stop_training):  # a callback may have asked for it
            fit(settings.epochs, order)
        whole.end()
        model.warn_unlearnt()
    model.on_unreadable = model.on_progress = None
    resumable.take_best(model)


def data_of(hosts: Hosts | None, dataset: Callable[..., tf.data.Dataset], *args: Any, **options: Any) -> Any:
    """The data set, or of each host its share of it."""
    if hosts is None:
        return dataset(*args, **options)
    return hosts.strategy.distribute_datasets_from_function(lambda _: dataset(*args, **options, share=hosts.share))


def check_lattices(records: list[dict[str, Any]], model: SlideClassifier) -> None:
    """Every slide's lattice must hold N cells, whatever batch it comes in.

    Raises:
        ValueError: one does not.
    """
    for r in records:
        cells = model.lattice.cell_count(model.lattice.shape(r["geometry"]))
        if model.n_patches > cells:
            raise ValueError(
                f"slide {r['slide_id']!r} has a lattice of {cells} cells, fewer than model.n_patches={model.n_patches}: "
                "lower model.n_patches or model.stride, or prepare with a smaller prepare.overview_mpp"
            )
