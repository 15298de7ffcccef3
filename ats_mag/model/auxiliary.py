"""One loss per magnification, beside the task's own: it keeps every magnification learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ats_mag.sampling.draws import Samples


def predict_per_magnification(model: Any, features: Any, weight: Any, samples: Samples, attention: Any) -> list[Any]:
    """Probabilities from the expectation within each magnification, by heads of their own: M times `(B, C)`."""
    mass = ops.maximum(ops.sum(attention, axis=(1, 2)), 1e-9)
    predictions = []
    for m, head in enumerate(model.auxiliary_heads):
        within = ops.where(samples.index[..., 2] == m, weight / mass[:, m : m + 1], 0.0)
        predictions.append(model.activation(head(model.expectation([features, within]))))
    return predictions


def auxiliary_loss(loss: Any, binary: bool, y: Any, predictions: Sequence[Any], sample_weight: Any = None) -> Any:
    """The sum over magnifications of the task's loss of `predictions`.

    Args:
        loss: of the task, as given to `compile`.
        binary: whether the head is, whose labels may come as `(B,)`.
        y: labels.
        predictions: M times `(B, C)`.
        sample_weight: as Keras'.
    """
    if binary:
        y = ops.reshape(y, (-1, 1))  # as Keras does with the labels of its own loss
    task = keras.losses.get(loss)
    task = task if isinstance(task, keras.losses.Loss) else _MeanLoss(task)
    return sum(task(y, p, sample_weight) for p in predictions)


class _MeanLoss(keras.losses.Loss):
    """A loss function as a loss: its mean over the batch, scaled as distribution strategies need."""

    def __init__(self, function: Any) -> None:
        super().__init__(name="auxiliary_loss")
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)
