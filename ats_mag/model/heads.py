"""What a model predicts of a slide: the activation, the loss and the metrics of each kind of label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Head:
    """One kind of label.

    Attributes:
        activation: of the class scores.
        loss: name of the Keras loss on probabilities.
    """

    activation: str
    loss: str

    def units(self, n_classes: int) -> int:
        """Outputs of the model."""
        return 1 if self is HEADS["binary"] else n_classes

    def metrics(self) -> list[Any]:
        """Metrics that suit the label; `cross_entropy` is the loss without what regularisers add to it."""
        if self is HEADS["single_label"]:
            return [
                keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
                keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy"),
            ]
        multi = self is HEADS["multi_label"]
        return [
            keras.metrics.BinaryAccuracy(name="accuracy"),
            keras.metrics.AUC(name="auc", multi_label=multi),
            keras.metrics.BinaryCrossentropy(name="cross_entropy"),
        ]


HEADS = {
    "single_label": Head("softmax", "sparse_categorical_crossentropy"),
    "multi_label": Head("sigmoid", "binary_crossentropy"),
    "binary": Head("sigmoid", "binary_crossentropy"),
}


def class_probabilities(head: str, outputs: np.ndarray) -> np.ndarray:
    """A model's outputs as `(B, C)`, one column per class for `binary`, too."""
    outputs = np.asarray(outputs)
    return np.concatenate([1 - outputs, outputs], axis=1) if head == "binary" else outputs
