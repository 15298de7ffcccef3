"""Training on prepared records, as the command line does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from ats_mag.slides.local_copies import LocalCopies

if TYPE_CHECKING:
    from ats_mag.models import SlideClassifier

DEFAULT_COPIES_GB = 50.0


class TrainSettings(BaseModel):
    """What a training run can be told; unknown names are refused.

    Attributes:
        magnifications: resolutions of the patches, um/px or "20x".
        patch_size: patch side, pixels.
        n_patches: patches per slide and step.
        stride: overview pixels per cell of the attention map; a power of 2.
        explore_steps: see `SlideClassifier`. None: a quarter of all steps, 200 at most.
        feature: `small`, or the name of a network of `keras.applications`.
        feature_weights: file of weights that the feature network starts from.
        local_copies: folder on a local disk that slides are copied to ahead of their use, see `LocalCopies`.
        local_copies_gb: bound of all copies, GB (10^9 bytes).
    """

    model_config = ConfigDict(extra="forbid")

    magnifications: list[float | str] = Field(default=["20x", "5x"], min_length=1)
    patch_size: PositiveInt = 224
    n_patches: PositiveInt = 16
    stride: PositiveInt = 8
    head: Literal["single_label", "multi_label", "binary"] = "single_label"
    method: Literal["sequential", "priority", "replacement"] = "sequential"
    explore_steps: NonNegativeInt | None = None
    test_method: Literal["sequential", "priority", "replacement", "topk", "exhaustive"] = "topk"
    feature: str = "small"
    feature_weights: str | None = None
    epochs: PositiveInt = 50
    batch_size: PositiveInt = 8
    learning_rate: PositiveFloat = 1e-3
    on_error: Literal["raise", "fill"] = "raise"
    mixed_precision: bool = False
    seed: int = 0
    local_copies: Path | None = None
    local_copies_gb: PositiveFloat = DEFAULT_COPIES_GB


def class_names(records: list[dict[str, Any]], multi_label: bool = False) -> list[str]:
    """The labels of the records, sorted."""
    labels = {name for r in records for name in (r["label"].split(";") if multi_label else [r["label"]]) if name}
    return sorted(labels)


def build_model(settings: TrainSettings, classes: list[str], overview_mpp: float, steps: int) -> SlideClassifier:
    """A new, compiled model, to be trained for so many steps."""
    import keras

    from ats_mag.models import SlideClassifier
    from ats_mag.networks import application_network, attention_network, feature_network

    if settings.feature == "small":
        feature = feature_network(settings.patch_size)
        if settings.feature_weights:
            feature.load_weights(settings.feature_weights)
    else:
        feature = application_network(settings.feature, settings.patch_size, settings.feature_weights)
    model = SlideClassifier(
        classes,
        settings.magnifications,
        settings.patch_size,
        settings.n_patches,
        overview_mpp,
        attention=attention_network(len(settings.magnifications), settings.stride),
        feature=feature,
        head=settings.head,
        method=settings.method,
        explore_steps=min(200, steps // 4) if settings.explore_steps is None else settings.explore_steps,
        test_method=settings.test_method,
        on_error=settings.on_error,
        seed=settings.seed,
    )
    model.compile(keras.optimizers.Adam(settings.learning_rate))
    return model


def train(
    records: str | os.PathLike[str],
    slide_root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: TrainSettings,
    split: str | None = "train",
    validation_split: str | None = None,
    callbacks: list[Any] | None = None,
) -> SlideClassifier:
    """Trains a model and writes `model.keras`, `history.csv` and `run.json` into `out`.

    Args:
        records: folder of records, see `prepare`.
        slide_root: folder that the records' paths are relative to.
        out: folder of the run; it must not hold a model yet.
        settings: of the run.
        split: records to train on; None: all.
        validation_split: records to validate on after every epoch.
        callbacks: more Keras callbacks.

    Raises:
        FileExistsError: `out` holds a model.
        RecordError, ValueError, OSError: for records, settings or slides that cannot be used.
    """
    import keras

    from ats_mag.records import dataset, find_records
    from ats_mag.schedules import ScheduleStrength
    from ats_mag.slides.errors import plain_errors

    out = Path(out)
    if (out / "model.keras").exists():
        raise FileExistsError(f"{str(out / 'model.keras')!r} exists already: choose another folder for this run")
    found = find_records(records, split)
    multi = settings.head == "multi_label"
    classes = class_names(found, multi)
    keras.utils.set_random_seed(settings.seed)
    if settings.mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_float16")
    steps = settings.epochs * -(-len(found) // settings.batch_size)
    model = build_model(settings, classes, found[0]["overview_mpp"], steps)
    _check_lattices(found, model)
    options: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "multi_label": multi,
        "multiple": max(64, settings.stride),
        "local_copies": local_copies(settings.local_copies, settings.local_copies_gb),
    }
    data = dataset(found, slide_root, classes, shuffle=True, seed=settings.seed, **options)
    validation = None
    if validation_split is not None:
        validation = dataset(find_records(records, validation_split), slide_root, classes, **options)
    # Explore first, then let the attention sharpen.
    boundaries = [steps * 6 // 10, steps * 8 // 10]
    sharpen = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, [0.03, 0.01, 0.0])
    callbacks = [ScheduleStrength(sharpen), *(callbacks or [])]
    with plain_errors():
        history = model.fit(
            data, validation_data=validation, epochs=settings.epochs, shuffle=False, verbose=0, callbacks=callbacks
        )
    out.mkdir(parents=True, exist_ok=True)
    unfinished = out / ".model.tmp.keras"
    model.save(unfinished)
    pd.DataFrame(history.history).rename_axis("epoch").to_csv(out / "history.csv")
    run = {"settings": settings.model_dump(mode="json"), "classes": classes, "slides": [r["slide_id"] for r in found]}
    (out / "run.json").write_text(json.dumps(run, indent=2) + "\n")
    os.replace(unfinished, out / "model.keras")
    return model


def _check_lattices(records: list[dict[str, Any]], model: SlideClassifier) -> None:
    """Every slide's lattice must hold N cells, whatever batch it comes in."""
    from ats_mag.lattice import MPP_UNIT

    for r in records:
        _, _, width, height, mpp = (int(v) for v in r["geometry"])
        rows, columns = (-(-side * mpp * MPP_UNIT // model.lattice.cell_um) for side in (height, width))
        cells = int(rows * columns) * len(model.magnifications)
        if model.n_patches > cells:
            raise ValueError(
                f"slide {r['slide_id']!r} has a lattice of {cells} cells, fewer than n_patches={model.n_patches}: lower "
                "--n-patches or --stride, or prepare with a smaller overview mpp"
            )


def local_copies(folder: str | os.PathLike[str] | None, gigabytes: float = DEFAULT_COPIES_GB) -> LocalCopies | None:
    """`LocalCopies` of at most so many GB (10^9 bytes), where a folder is given."""
    return None if folder is None else LocalCopies(folder, int(gigabytes * 1e9))
