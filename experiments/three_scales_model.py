"""The networks of `three_scales.py` and how they are trained."""

from __future__ import annotations

import keras
from gradient_02 import SlideClassifier02
from pydantic import BaseModel, ConfigDict
from three_scales_data import CLASSES, MAGNIFICATIONS

import ats_mag
from ats_mag.networks import attention_network, feature_network

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
        explore_epochs: in which patches are drawn uniformly.
        place_entropy, magnification_entropy: strengths of the attention's regularisers; the first falls to 0 over the last third.
        auxiliary: see `SlideClassifier`.
        seed: of weights, order and draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    magnifications: tuple[float, ...] = MAGNIFICATIONS
    method: str = "priority"
    uniform: bool = False
    patch_size: int = 32
    n_patches: int = 24
    overview_mpp: float = 32.0
    stride: int = 2
    batch_size: int = 16
    epochs: int = 50
    learning_rate: float = 1e-3
    explore_epochs: int = 12
    place_entropy: float = 0.03
    magnification_entropy: float = 0.3
    auxiliary: float = 0.5
    seed: int = 0


def classifier(settings: Settings, steps_per_epoch: int) -> ats_mag.SlideClassifier:
    """The compiled model."""
    keras.utils.set_random_seed(settings.seed)
    attention = attention_network(len(settings.magnifications), settings.stride)
    attention.trainable = not settings.uniform  # its last layer starts at 0: frozen it is uniform
    kind = SlideClassifier02 if settings.method == GRADIENT else ats_mag.SlideClassifier
    model = kind(
        CLASSES,
        settings.magnifications,
        settings.patch_size,
        settings.n_patches,
        settings.overview_mpp,
        attention=attention,
        feature=feature_network(settings.patch_size),
        method="sequential" if settings.method == GRADIENT else settings.method,
        explore_steps=settings.explore_epochs * steps_per_epoch,
        auxiliary=settings.auxiliary,
        test_method=settings.method if settings.uniform else "topk",
        regularizers=[
            ats_mag.PlaceEntropy(settings.place_entropy),
            ats_mag.MagnificationEntropy(settings.magnification_entropy),
        ],
        seed=settings.seed,
    )
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * steps_per_epoch, alpha=0.02)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
    return model


def sharpen(settings: Settings, steps_per_epoch: int) -> ats_mag.ScheduleStrength:
    """Lets the attention settle late in training."""
    steps = settings.epochs * steps_per_epoch
    strength = settings.place_entropy
    boundaries = [steps * 5 // 8, steps * 13 // 16]
    return ats_mag.ScheduleStrength(
        keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, [strength, strength / 3, 0.0])
    )
