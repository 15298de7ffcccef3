"""Regularisers of the attention: how spread it is over cells, and over magnifications.

They average over the batch themselves and enter a model by `add_loss` (see `layers.RegularizeAttention`); Keras'
`activity_regularizer=` divides by the batch size again in some releases.
"""

from __future__ import annotations

import keras
from keras import ops

from ats_mag.system.arguments import number
from ats_mag.tensors import Attention, KerasConfig, SlideWeight, Tensor

PACKAGE = "ats_mag"


class AttentionRegularizer(keras.regularizers.Regularizer):
    """Holds the strength as a Keras variable, so that a schedule reaches an already traced graph."""

    def __init__(self, strength: float) -> None:
        self.strength = keras.Variable(
            number("strength", strength),
            dtype="float32",
            trainable=False,
            aggregation="only_first_replica",
            name=f"{type(self).__name__}_strength",
        )


@keras.saving.register_keras_serializable(PACKAGE)
class MultinomialEntropy(AttentionRegularizer):
    """``strength * sum(a log(a + eps)) / B``: minus the mean entropy of the attention, times `strength`.

    The value of attention-sampling's regulariser of the same name. A positive strength spreads the attention.

    Args:
        strength: factor of the term.
        eps: added inside the logarithm.

    Call arguments:
        x: `(B, ...)` probabilities.
        weight: `(B,)` of the slides in the mean. None: they count alike.
    """

    def __init__(self, strength: float, eps: float = 1e-6) -> None:
        super().__init__(strength)
        self.eps = number("eps", eps)

    def __call__(self, x: Attention, weight: SlideWeight | None = None) -> Tensor:
        if weight is not None or x.shape[0] == 0:
            negentropy = ops.sum(x * ops.log(x + self.eps), axis=tuple(range(1, len(x.shape))))
            return ops.cast(self.strength, x.dtype) * _mean(negentropy, weight)
        batch = ops.cast(ops.shape(x)[0], x.dtype)
        return ops.cast(self.strength, x.dtype) * ops.sum(x * ops.log(x + self.eps)) / batch

    def get_config(self) -> KerasConfig:
        return {"strength": float(self.strength.numpy()), "eps": self.eps}


@keras.saving.register_keras_serializable(PACKAGE)
class MagnificationEntropy(AttentionRegularizer):
    """Minus the entropy of the magnification marginal, times `strength`: keeps every magnification in play.

    The marginal of a slide is the sum of its attention over all places, one mass per magnification. Trained without
    this term the joint attention collapses onto the magnification whose cue is learnt first.

    Args:
        strength: factor of the term.
        per: `"slide"`: mean over slides of each slide's entropy. `"batch"`: entropy of the batch's mean marginal, which
            lets single slides settle on one magnification.
        eps: added inside the logarithm.

    Call arguments:
        x: `(B, H, W, M)` probabilities.
        weight: `(B,)` of the slides in the mean. None: they count alike.
    """

    def __init__(self, strength: float, per: str = "slide", eps: float = 1e-6) -> None:
        super().__init__(strength)
        if per not in ("slide", "batch"):
            raise ValueError(f"per must be 'slide' or 'batch'. Received: per={per!r}")
        self.per = per
        self.eps = number("eps", eps)

    def __call__(self, x: Attention, weight: SlideWeight | None = None) -> Tensor:
        marginal = ops.sum(x, axis=tuple(range(1, len(x.shape) - 1)))
        if self.per == "batch":
            marginal, weight = _mean(marginal, weight)[None], None
        negentropy = _mean(ops.sum(marginal * ops.log(marginal + self.eps), axis=-1), weight)
        return ops.cast(self.strength, x.dtype) * negentropy

    def get_config(self) -> KerasConfig:
        return {"strength": float(self.strength.numpy()), "per": self.per, "eps": self.eps}


@keras.saving.register_keras_serializable(PACKAGE)
class PlaceEntropy(AttentionRegularizer):
    """Minus the entropy of the places within each magnification, summed over magnifications, times `strength`.

    Where no cue is known yet, the attention otherwise settles on the places whose features vary least, because that
    lowers the variance of the estimate; this term outweighs that pull, but not the gain from a cue.

    Args:
        strength: factor of the term.
        eps: added inside the logarithm.

    Call arguments:
        x: `(B, H, W, M)` probabilities.
        weight: `(B,)` of the slides in the mean. None: they count alike.
    """

    def __init__(self, strength: float, eps: float = 1e-9) -> None:
        super().__init__(strength)
        self.eps = number("eps", eps)

    def __call__(self, x: Attention, weight: SlideWeight | None = None) -> Tensor:
        places = tuple(range(1, len(x.shape) - 1))
        within = x / (ops.sum(x, axis=places, keepdims=True) + self.eps)
        negentropy = _mean(ops.sum(within * ops.log(within + self.eps), axis=(*places, -1)), weight)
        return ops.cast(self.strength, x.dtype) * negentropy

    def get_config(self) -> KerasConfig:
        return {"strength": float(self.strength.numpy()), "eps": self.eps}


def _mean(values: Tensor, weight: SlideWeight | None) -> Tensor:
    """The mean over slides of `(B, ...)`; 0 where there is none, or none has a weight."""
    if values.shape[0] == 0:
        return ops.zeros(values.shape[1:], dtype=values.dtype)
    if weight is None:
        return ops.mean(values, axis=0)
    weight = ops.reshape(ops.cast(weight, values.dtype), (-1, *[1] * (len(values.shape) - 1)))
    return ops.sum(values * weight, axis=0) / ops.maximum(ops.sum(weight), 1.0)
