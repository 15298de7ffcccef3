"""The networks of `three_scales.py` and how they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from gradient_02 import SlideClassifier02
from pydantic import BaseModel, ConfigDict
from stain_free import stain_free_network
from stand_out import stand_out_network
from three_scales_data import CLASSES, MAGNIFICATIONS

import ats_mag

GRADIENT = "gradient of 0.2"


class Settings(BaseModel):
    """How everything is trained.

    Attributes:
        magnifications: um/px.
        method: of drawing, or `gradient of 0.2`: drawn as `sequential`, learnt with the gradient of attention-sampling 0.2.
        uniform: whether the attention stays uniform over the tissue.
        patch_size: pixels.
        n_patches: N, at whatever magnifications.
        overview_mpp: um/px.
        stride: overview pixels per cell.
        batch_size: slides.
        epochs: of training.
        learning_rate: of Adam; falls along a cosine to a fiftieth.
        stand_out: logit per deviation that a cell stands out of its slide, at the start of training; 0: start uniform.
        hold_epochs: in which the attention stays as it starts, so that features come before it.
        attention_epochs: after these, in which the features stay as they are, so that the attention goes where they tell most
            and not where they could learn slides by heart. All is trained in the epochs that remain.
        entropy, magnification_entropy: strengths of the attention's regularisers.
        settled_entropy: of the second in the epochs in which all is trained; below 0 it has every slide settle on a
            magnification, once all are known.
        auxiliary: see `SlideClassifier`.
        seed: of weights, order and draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    magnifications: tuple[float, ...] = MAGNIFICATIONS
    method: str = "priority"
    uniform: bool = False
    patch_size: int = 32
    n_patches: int = 15
    overview_mpp: float = 32.0
    stride: int = 2
    batch_size: int = 16
    epochs: int = 40
    learning_rate: float = 1e-3
    stand_out: float = 3.0
    hold_epochs: int = 20
    attention_epochs: int = 10
    entropy: float = 0.002
    magnification_entropy: float = 0.0
    settled_entropy: float = -0.05
    auxiliary: float = 0.5
    seed: int = 0


def classifier(settings: Settings) -> ats_mag.SlideClassifier:
    """The model before its training."""
    keras.utils.set_random_seed(settings.seed)
    start = 0.0 if settings.uniform else settings.stand_out
    attention = stand_out_network(len(settings.magnifications), settings.stride, start, any_channel=True)
    kind = SlideClassifier02 if settings.method == GRADIENT else ats_mag.SlideClassifier
    return kind(
        CLASSES,
        settings.magnifications,
        settings.patch_size,
        settings.n_patches,
        settings.overview_mpp,
        attention=attention,
        feature=stain_free_network(settings.patch_size),
        method="sequential" if settings.method == GRADIENT else settings.method,
        explore_steps=0,
        normalize_features=False,  # they are of equal norm already
        auxiliary=settings.auxiliary,
        test_method=settings.method if settings.uniform else "topk",
        regularizers=[
            ats_mag.MultinomialEntropy(settings.entropy),
            ats_mag.MagnificationEntropy(settings.magnification_entropy),
        ],
        seed=settings.seed,
    )


def fit(
    model: ats_mag.SlideClassifier,
    data: Any,
    settings: Settings,
    steps_per_epoch: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains the features on the attention's start, then the attention on these features, then all, ever more slowly."""
    hold = settings.epochs if settings.uniform else min(settings.hold_epochs, settings.epochs)
    alone = min(settings.attention_epochs, settings.epochs - hold)
    parts = {"features": (0, hold), "attention": (hold, hold + alone), "all": (hold + alone, settings.epochs)}
    for part, (first, end) in parts.items():
        if first == end:
            continue
        model.attention.trainable, model.feature.trainable = part != "features", part != "attention"
        rate: Any = settings.learning_rate
        if end == settings.epochs:
            rate = keras.optimizers.schedules.CosineDecay(rate, (end - first) * steps_per_epoch, alpha=0.02)
        settle = settings.settled_entropy if part == "all" else settings.magnification_entropy
        strength = ats_mag.ScheduleStrength(lambda step, now=settle: now, ats_mag.MagnificationEntropy)
        model.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
        # the data are shuffled already
        model.fit(data, epochs=end, initial_epoch=first, shuffle=False, verbose=0, callbacks=[*callbacks, strength])
