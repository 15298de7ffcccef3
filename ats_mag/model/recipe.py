"""How a model is trained: what changes from step to step, whoever trains it.

`SlideClassifier.fit`, `ats-mag train`, the demo and the experiments all train by a `Recipe`; what they do otherwise is a field of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from ats_mag.model.adam_of_replicas import AdamOfReplicas
from ats_mag.model.adam_of_two_rates import AdamOfTwoRates
from ats_mag.model.replicas import replicas
from ats_mag.sampling.regularizers import MagnificationEntropy, PlaceEntropy
from ats_mag.sampling.schedules import ScheduleStrength

SALIENCY = 2.0  # logit per deviation
HOLD = 0.25  # of the steps

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule


@dataclass(frozen=True)
class Recipe:
    """The training of a model over a number of steps.

    There are two. As it stands, a recipe is for features that are learnt from nothing: first patches are drawn uniformly, so
    that features come before the attention; then the attention learns, kept open by entropies; at last the entropy of places is
    let go and the attention sharpens. `Recipe.known` is for features that are known before the first step: the attention starts
    on what is salient and is held there while the rest learns, then it is free. Entropies that keep it open would be in its way.

    Attributes:
        learning_rate: of Adam, at its highest; or a schedule of Keras, which then stands alone.
        cosine: whether the learning rate falls along half a cosine; else it stays.
        lowest: the share of it that is left when it has fallen.
        warmup: the share of the steps, at the beginning, over which the learning rate rises.
        clip_norm: the norm of all gradients together is clipped to it. None: not clipped.
        clip_each: the norm of each variable's gradient is clipped to it. None: not clipped.
        accumulate: batches whose gradients make one step of Adam.
        explore_steps: for so many steps patches are drawn uniformly,
        explore_share: but for no larger share of all steps. None: whatever their share.
        saliency: of the attention network that is built in, see `attention_network`; 0: it starts uniform.
        hold: the share of the steps, at the beginning, in which the attention stays as it started.
        auxiliary: weight of the loss per magnification, see `SlideClassifier`.
        place_entropy: strengths of `PlaceEntropy`, one after the other.
        sharpen_at: the shares of the steps after which the next strength comes.
        magnification_entropy: strength of `MagnificationEntropy`.
        encoder_learning_rate: of an encoder's variables; it rises and falls with the other. None: the same.
    """

    learning_rate: float | Schedule = 1e-3
    cosine: bool = False
    lowest: float = 0.0
    warmup: float = 0.0
    clip_norm: float | None = None
    clip_each: float | None = None
    accumulate: int = 1
    explore_steps: int = 200
    explore_share: float | None = 0.25
    saliency: float = 0.0
    hold: float = 0.0
    auxiliary: float = 0.5
    place_entropy: tuple[float, ...] = (0.03, 0.01, 0.0)
    sharpen_at: tuple[float, ...] = (0.6, 0.8)
    magnification_entropy: float = 0.3
    encoder_learning_rate: float | None = None

    def __post_init__(self) -> None:
        if self.encoder_learning_rate is not None and not isinstance(self.learning_rate, int | float):
            raise ValueError("encoder_learning_rate needs a learning_rate that is a number, not a schedule")
        if len(self.place_entropy) != len(self.sharpen_at) + 1:
            raise ValueError(
                "place_entropy needs one strength more than sharpen_at has shares. Received: "
                f"place_entropy={self.place_entropy!r}, sharpen_at={self.sharpen_at!r}"
            )

    @classmethod
    def known(cls, **changes: Any) -> Recipe:
        """The recipe for features of a pretrained encoder.

        Args:
            **changes: of its attributes.
        """
        values: dict[str, Any] = {
            "cosine": True,
            "lowest": 0.02,
            "clip_each": 1.0,
            "explore_steps": 0,
            "saliency": SALIENCY,
            "hold": HOLD,
            "place_entropy": (0.0,),
            "sharpen_at": (),
            "magnification_entropy": 0.0,
        }
        return cls(**values | changes)

    def hold_steps(self, steps: int) -> int:
        """How many of so many training steps leave the attention as it started; for `SlideClassifier(hold_steps=)`."""
        return math.ceil(self.hold * steps)

    def explore(self, steps: int) -> int:
        """How many of so many training steps draw patches uniformly; for `SlideClassifier(explore_steps=)`."""
        return (
            self.explore_steps
            if self.explore_share is None
            else min(self.explore_steps, int(steps * self.explore_share))
        )

    def regularizers(self) -> list[keras.regularizers.Regularizer]:
        """What keeps the attention open; for `SlideClassifier(regularizers=)`."""
        every = [(PlaceEntropy, self.place_entropy[0]), (MagnificationEntropy, self.magnification_entropy)]
        scheduled = {PlaceEntropy} if len(set(self.place_entropy)) > 1 else set()
        return [kind(strength) for kind, strength in every if strength or kind in scheduled]

    def optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """A new optimiser for so many steps; within the scope of a distribution strategy, of all replicas together."""
        options: dict[str, Any] = {
            "clipnorm": self.clip_each,
            "global_clipnorm": self.clip_norm,
            "gradient_accumulation_steps": self.accumulate if self.accumulate > 1 else None,
        }
        share = 1.0 if self.encoder_learning_rate is None else self.encoder_learning_rate / self.learning_rate
        if replicas() > 1:
            return AdamOfReplicas(self.rate(steps), share, **options)
        if self.encoder_learning_rate is None:
            return keras.optimizers.Adam(self.rate(steps), **options)
        return AdamOfTwoRates(self.rate(steps), share, **options)

    def rate(self, steps: int) -> float | Schedule:
        """The learning rate over so many steps (Keras counts batches, also while it accumulates): a number or a schedule."""
        warmup = round(self.warmup * steps)
        if isinstance(self.learning_rate, keras.optimizers.schedules.LearningRateSchedule) or not (
            self.cosine or warmup
        ):
            return self.learning_rate
        return keras.optimizers.schedules.CosineDecay(
            self.learning_rate / (warmup + 1) if warmup else self.learning_rate,
            max(1, steps - warmup),
            alpha=self.lowest if self.cosine else 1.0,
            warmup_target=self.learning_rate if warmup else None,
            warmup_steps=warmup,
        )

    def callbacks(self, steps: int, done: int = 0) -> list[keras.callbacks.Callback]:
        """What changes the strengths of a model with `regularizers()` while it trains.

        Args:
            steps: of the whole training.
            done: of them, those that were trained before.
        """
        if len(set(self.place_entropy)) == 1:
            return []
        boundaries = [int(steps * share) for share in self.sharpen_at]
        sharpen = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, list(self.place_entropy))
        schedule = ScheduleStrength(sharpen)
        schedule.step = done
        return [schedule]


def batches_of(
    x: Any, batch_size: int | None, steps_per_epoch: int | None, validation_split: float = 0.0
) -> int | None:
    """How many batches an epoch of `fit` has; None: that cannot be known before.

    Args:
        x: the data that `fit` is given: arrays, or a data set.
        batch_size, steps_per_epoch, validation_split: as `fit` is given them.
    """
    if steps_per_epoch is not None:
        return steps_per_epoch
    if hasattr(x, "cardinality"):  # of a tf.data.Dataset; below 0: infinite or unknown
        known = x.cardinality  # a number of a distributed data set
        count = int(known() if callable(known) else known)
        return count if count > 0 else None
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches
    lengths = {len(array) for array in keras.tree.flatten(x) if hasattr(array, "shape")}
    return math.ceil(math.floor(max(lengths) * (1 - validation_split)) / (batch_size or 32)) if lengths else None
