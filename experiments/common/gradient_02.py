"""The attention gradient of attention-sampling 0.2, drawn without replacement, as weights: a baseline to compare with.

Its estimate is that of `sequential`; its gradient by the attention is biased as soon as N > 1 (`docs/estimators.md`). Like
every estimator here it can be said by weights: their values are those of `sequential`, their derivatives what 0.2 computes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

import ats_mag
from ats_mag.sampling.draws import Samples
from ats_mag.tensors import Attention, Index, Noise, Patches, Tensor, Weight


def weights_of_02(attention: Tensor) -> Weight:
    """The weight of each draw, `(B, N)`, from the probabilities of the drawn cells in drawing order.

    For scores s_i = <upstream gradient, f_i>, 0.2 takes as the derivative by a_j

    ``((sum_{i<j} a_i s_i + pm_j s_j) pm_j / a_j + sum_{i<j} s_i - j s_j) / N``,  ``pm_j = 1 - sum_{i<j} a_i``

    (`expectation.py` of the library, read back from its golden vectors), which is linear in s: its coefficients are the
    derivatives of the weights here.
    """
    a = ops.convert_to_tensor(attention)
    held = ops.stop_gradient(a)
    n = a.shape[1]
    left = 1 - (ops.cumsum(held, axis=1) - held)
    position = ops.arange(n, dtype=a.dtype)
    earlier = ops.cast(position[None, :] < position[:, None], a.dtype)  # (j, i): i < j
    jacobian = earlier * (held[:, None, :] * (left / held)[:, :, None] + 1)
    jacobian = (jacobian + ops.eye(n, dtype=a.dtype) * (left**2 / held - position)[:, :, None]) / n
    moved = ops.einsum("bj,bji->bi", a - held, ops.stop_gradient(jacobian))
    return ops.stop_gradient(ats_mag.sample_weights(held, "sequential")) + moved


@keras.saving.register_keras_serializable("experiments")
class SlideClassifier02(ats_mag.SlideClassifier):
    """A `SlideClassifier` that learns its attention with the gradient of 0.2."""

    def draw(self, attention: Attention, noise: Noise = None, training: bool = False, **options: Any) -> Samples:
        samples = super().draw(attention, noise, training, **options)
        if not training:
            return samples
        n_strata = attention.shape[-1] if self.stratify else 1
        if n_strata == 1:
            return samples._replace(weight=weights_of_02(samples.attention))
        mass = ops.sum(attention, axis=(1, 2))
        parts, first = [], 0
        for m in range(n_strata):  # as `sample` divides the draws
            end = first + self.n_patches // n_strata + (m < self.n_patches % n_strata)
            here = ops.maximum(mass[:, m : m + 1], 1e-9)
            parts.append(weights_of_02(samples.attention[:, first:end] / here) * here)
            first = end
        return samples._replace(weight=ops.concatenate(parts, axis=1))


@keras.saving.register_keras_serializable("experiments")
class SamplePatches02(ats_mag.SamplePatches):
    """A `SamplePatches` of two axes and one magnification whose weights have the gradient of 0.2."""

    def call(self, inputs: list[Tensor], noise: Noise = None) -> tuple[Patches, Weight, Index]:
        patches, _, index = super().call(inputs, noise)
        attention = inputs[2]
        batch, _, columns = ops.shape(attention)[:3]
        cell = index[..., 0] * columns + index[..., 1]
        drawn = ops.take_along_axis(ops.reshape(attention, (batch, -1)), cell, axis=1)
        return patches, weights_of_02(drawn), index
