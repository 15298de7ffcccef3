"""How large a score can be, whatever a patch shows."""

from __future__ import annotations

import math

import keras
from keras import ops

from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
from ats_mag.model.network import SlideNetwork
from ats_mag.tensors import Tensor


def score_range(model: SlideNetwork, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``f . v`` over all features f that the model can compute, and 0, as of a patch that cannot be read.

    - Features of L2 norm 1 at most: +-|v| (Cauchy-Schwarz).
    - Features that leave a layer normalisation, ``gamma * n + beta`` with n of mean 0 and of norm sqrt(D) at most: n sees
      only the part u of ``gamma * v`` that has mean 0, hence ``beta . v +- sqrt(D) |u|``.

    Args:
        model: the model.
        direction: `(D, Q)`, the vectors v.

    Returns:
        low and high, `(Q,)`.

    Raises:
        ValueError: the model's features have no bound.
    """
    if model.normalize_features:
        norm = ops.sqrt(ops.sum(direction * direction, axis=0))
        return -norm, norm
    last = _last_normalization(model.feature)
    if last is None:
        raise ValueError(
            "adaptive prediction needs bounded features: build the SlideClassifier with normalize_features=True, or with a "
            "feature network whose last layer is a LayerNormalization"
        )
    seen = direction if last.gamma is None else direction * ops.cast(last.gamma, "float32")[:, None]
    seen = seen - ops.mean(seen, axis=0, keepdims=True)
    middle = ops.zeros_like(seen[0])
    if last.beta is not None:
        middle = ops.sum(direction * ops.cast(last.beta, "float32")[:, None], axis=0)
    reach = math.sqrt(model.dimension) * ops.sqrt(ops.sum(seen * seen, axis=0))
    return ops.minimum(middle - reach, 0.0), ops.maximum(middle + reach, 0.0)


def bounded(model: SlideNetwork) -> bool:
    """Whether the model's features have a bound, see `score_range`."""
    return model.normalize_features or _last_normalization(model.feature) is not None


def _last_normalization(feature: keras.Model) -> keras.layers.LayerNormalization | None:
    """The layer normalisation of each whole feature vector that a network ends in, else None."""
    if isinstance(feature, AdaptedEncoder):
        return None if feature.adapter is None else _last_normalization(feature.adapter)
    last = feature.layers[-1] if feature.layers else None
    if not isinstance(last, keras.layers.LayerNormalization) or getattr(last, "rms_scaling", False):
        return None
    axes = [last.axis] if isinstance(last.axis, int) else list(last.axis)
    ends_in_it = len(feature.outputs) == 1 and last.output is feature.outputs[0]
    return last if ends_in_it and axes in ([-1], [1]) else None
