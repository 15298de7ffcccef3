"""Changing the strength of a regulariser while training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras

from ats_mag.sampling.regularizers import (
    AttentionRegularizer,
    MagnificationEntropy,
    MultinomialEntropy,
    PlaceEntropy,
)
from ats_mag.tensors import Logs

_KINDS = (MultinomialEntropy, MagnificationEntropy, PlaceEntropy)


class ScheduleStrength(keras.callbacks.Callback):
    """Sets the strength of attention regularisers before every training batch.

    Explore first, then let the attention sharpen: a strength that falls over the first epochs. The strengths are Keras
    variables, so the schedule reaches an already traced training step.

    Args:
        schedule: from the number of batches trained so far to the strength, e.g. one of
            `keras.optimizers.schedules`.
        kind: the class of the regularisers to set: `MultinomialEntropy`, `MagnificationEntropy` or `PlaceEntropy`.

    Raises:
        ValueError: when training begins, if the model has no such regulariser.
    """

    def __init__(self, schedule: Callable[[int], float], kind: type[AttentionRegularizer] = PlaceEntropy) -> None:
        super().__init__()
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {', '.join(k.__name__ for k in _KINDS)}. Received: kind={kind!r}")
        self.schedule = schedule
        self.kind = kind
        self.step = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        found = [getattr(layer, "regularizer", None) for layer in _layers_within(self.model)]
        self.strengths = [r.strength for r in found if isinstance(r, self.kind)]
        if not self.strengths:
            raise ValueError(f"the model has no {self.kind.__name__} whose strength could be scheduled")

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        _ = self.model  # asking for it brings JAX' variables up to date, or the assignment would be lost
        for strength in self.strengths:
            strength.assign(self.schedule(self.step))
        self.step += 1


def _layers_within(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a model and of the models among them."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers_within(layer)
