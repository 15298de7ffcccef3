"""The networks of the sampling contestants, and how they are trained."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

import ats_mag
from ats_mag.model.stain_free_network import stain_free_network
from data_prep.three_scale_slides.layout import CLASSES
from experiments.common.gradient_02 import SlideClassifier02
from experiments.common.stand_out_network import stand_out_network
from experiments.three_scales.settings import GRADIENT, Settings


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
    data: tf.data.Dataset,
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
        recipe = ats_mag.Recipe(settings.learning_rate, cosine=end == settings.epochs, lowest=0.02, clip_each=1.0)
        settle = settings.settled_entropy if part == "all" else settings.magnification_entropy
        strength = ats_mag.ScheduleStrength(lambda step, now=settle: now, ats_mag.MagnificationEntropy)
        model.compile(recipe.optimizer((end - first) * steps_per_epoch))
        # the data are shuffled already
        model.fit(data, epochs=end, initial_epoch=first, shuffle=False, verbose=0, callbacks=[*callbacks, strength])
