"""One loss per magnification, beside the task's own: it keeps every magnification learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from ats_mag.model.network import SlideNetwork
from ats_mag.sampling.draws import Samples
from ats_mag.tensors import Attention, Features, Labels, Probabilities, SlideWeight, Tensor, Weight


def predict_per_magnification(
    model: SlideNetwork, features: Features, weight: Weight, samples: Samples, attention: Attention
) -> tuple[Probabilities, ...]:
    """Probabilities from the expectation within each magnification, by heads of their own: M times `(B, C)`."""
    mass = ops.maximum(ops.sum(attention, axis=(1, 2)), 1e-9)
    predictions = []
    for m, head in enumerate(model.auxiliary_heads):
        within = ops.where(samples.index[..., 2] == m, weight / mass[:, m : m + 1], 0.0)
        predictions.append(model.activation(head(model.expectation([features, within]))))
    return tuple(predictions)


def auxiliary_loss(
    loss: Any, y: Labels, predictions: Sequence[Probabilities], sample_weight: SlideWeight | None = None
) -> Tensor:
    """The sum over magnifications of the task's loss of `predictions`.

    Args:
        loss: of the task, as given to `compile`.
        y: labels, in the shape of the predictions where the loss compares them one by one, see `Head.labels`.
        predictions: M times `(B, C)`.
        sample_weight: as Keras'.
    """
    task = keras.losses.get(loss)
    task = task if isinstance(task, keras.losses.Loss) else _MeanLoss(task)
    return sum(task(y, p, sample_weight) for p in predictions)


class _MeanLoss(keras.losses.Loss):
    """A loss function as a loss: its mean over the batch, scaled as distribution strategies need."""

    def __init__(self, function: Callable[[Labels, Probabilities], Tensor]) -> None:
        super().__init__(name="auxiliary_loss")
        self.function = function

    def call(self, y_true: Labels, y_pred: Probabilities) -> Tensor:
        return self.function(y_true, y_pred)
