"""What a model predicts of a slide: one class, any number of classes, or yes and no."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ats_mag.tensors import Labels

if TYPE_CHECKING:
    import keras


class Head(ABC):
    """One kind of label, and all that depends on it. It needs no Keras until metrics are asked for.

    Attributes:
        name: as configurations, `.keras` files and cards spell it.
        activation: name of the Keras activation of the class scores.
        loss: name of the Keras loss on probabilities.
        exclusive: whether a slide has exactly one of the classes.
        ranked: whether the class of the largest score is the predicted one; else each score's sign says yes or no.
        fewest_classes, most_classes: bounds of the number of classes; None: none.
    """

    name: ClassVar[str]
    activation: ClassVar[str] = "sigmoid"
    loss: ClassVar[str] = "binary_crossentropy"
    exclusive: ClassVar[bool] = True
    ranked: ClassVar[bool] = False
    fewest_classes: ClassVar[int] = 2
    most_classes: ClassVar[int | None] = None

    def units(self, n_classes: int) -> int:
        """How many scores the model has."""
        return n_classes

    @abstractmethod
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics that suit the label. `cross_entropy` is the loss without what regularisers add to it."""

    def class_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """A model's outputs of n slides as probabilities `(n, C)`, one column per class."""
        return np.asarray(outputs)

    def predicted(self, probabilities: np.ndarray, classes: Sequence[str]) -> str:
        """The class that probabilities `(C,)` stand for; of several labels all classes above 0.5, joined by ";"."""
        if self.exclusive:
            return classes[int(np.argmax(probabilities))]
        return ";".join(name for name, p in zip(classes, probabilities, strict=True) if p > 0.5)

    def labels(self, y: Labels) -> Labels:
        """Labels in the shape of the model's outputs, as losses and metrics compare them."""
        return y

    def positive_class(self, classes: Sequence[str]) -> str | None:
        """The class that "positive" means: the second, where a slide has one of two; None: there is none."""
        return classes[1] if self.exclusive and len(classes) == 2 else None

    def check_classes(self, classes: Sequence[str]) -> None:
        """Refuses class names that do not fit.

        Raises:
            ValueError: too few or too many classes, or one named twice.
        """
        n, fewest, most = len(classes), self.fewest_classes, self.most_classes
        if n < fewest or len(set(classes)) < n or (most is not None and n > most):
            wanted = f"exactly {fewest}" if most == fewest else f"at least {fewest}"
            raise ValueError(
                f"head={self.name!r} needs {wanted} classes, each named once. Received: classes={classes!r}"
            )


class SingleLabel(Head):
    """One of C classes. Labels are class numbers `(B,)`, outputs `(B, C)` sum to 1."""

    name = "single_label"
    activation = "softmax"
    loss = "sparse_categorical_crossentropy"
    ranked = True

    def metrics(self) -> list[keras.metrics.Metric]:
        import keras

        return [
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy"),
        ]


class MultiLabel(Head):
    """Any number of C classes. Labels and outputs are `(B, C)`."""

    name = "multi_label"
    exclusive = False
    fewest_classes = 1

    def metrics(self) -> list[keras.metrics.Metric]:
        return _yes_no_metrics(several=True)


class Binary(Head):
    """The second of two classes, or not. Labels are 0/1 `(B,)` or `(B, 1)`, outputs `(B, 1)`."""

    name = "binary"
    most_classes = 2

    def units(self, n_classes: int) -> int:
        return 1

    def metrics(self) -> list[keras.metrics.Metric]:
        return _yes_no_metrics(several=False)

    def class_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        outputs = np.asarray(outputs)
        return np.concatenate([1 - outputs, outputs], axis=1)

    def labels(self, y: Labels) -> Labels:
        from keras import ops

        return ops.reshape(y, (-1, 1))


_HEADS: dict[str, Head] = {head.name: head for head in (SingleLabel(), MultiLabel(), Binary())}


def get_head(name: str) -> Head:
    """The head of that name: `single_label`, `multi_label` or `binary`.

    Raises:
        ValueError: there is none.
    """
    if name not in _HEADS:
        raise ValueError(f"head must be one of {', '.join(_HEADS)}. Received: head={name!r}")
    return _HEADS[name]


def _yes_no_metrics(several: bool) -> list[keras.metrics.Metric]:
    import keras

    return [
        keras.metrics.BinaryAccuracy(name="accuracy"),
        keras.metrics.AUC(name="auc", multi_label=several),
        keras.metrics.BinaryCrossentropy(name="cross_entropy"),
    ]
