"""What a model looked at, and what each patch did to its prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import ops

from ats_mag.model.network import Inputs, SlideNetwork
from ats_mag.tensors import Noise


@dataclass(frozen=True)
class Inspection:
    """One look at a batch of B slides, as NumPy arrays.

    Attributes:
        probabilities: `(B, C)`.
        attention: `(B, H, W, M)`, sum 1 per slide.
        index: `(B, N, 3)` (row, column, magnification) of each patch.
        location: `(B, N, 2)` (x, y) of its top-left corner, level-0 pixels.
        downsample: `(B, N)` level-0 pixels per patch pixel.
        weight: `(B, N)` of each patch in the expectation; 0 where it could not be read.
        patches: `(B, N, P, P, 3)` uint8.
        valid: `(B, N)`, which patches could be read.
        contribution: `(B, N, C)`: what each patch adds to the class scores (before the activation); with the head's bias
            they sum to the scores exactly, as the head is linear.
    """

    probabilities: np.ndarray
    attention: np.ndarray
    index: np.ndarray
    location: np.ndarray
    downsample: np.ndarray
    weight: np.ndarray
    patches: np.ndarray
    valid: np.ndarray
    contribution: np.ndarray


def inspect(
    model: SlideNetwork,
    inputs: Inputs,
    method: str | None = None,
    n_patches: int | None = None,
    noise: Noise | None = None,
) -> Inspection:
    """Classifies a batch of slides and keeps everything on the way.

    Args:
        model: the model.
        inputs: as for its `call`.
        method: how to draw, see `sample`. None: as the model does at test; instead of `exhaustive`, `topk`.
        n_patches: N. None: as the model does at test.
        noise: see `sample`. None: that of the inputs, if any.
    """
    noise = inputs.get("noise") if noise is None else noise
    attention = model.attend(inputs)
    method = method or model.test_method
    method = "topk" if method == "exhaustive" else method
    samples = model.draw(attention, noise, method=method, n=n_patches or 0)
    location, downsample = model.place(inputs, samples.index)
    patches, valid = model.read(inputs, samples.index)
    weight = ops.where(valid, samples.weight, 0.0)
    features = model.features_of(patches)
    contribution = ops.matmul(features * weight[..., None], model.head.kernel)
    arrays = [
        model.classify(features, weight),
        attention,
        samples.index,
        location,
        downsample,
        weight,
        patches,
        valid,
        contribution,
    ]
    return Inspection(*[ops.convert_to_numpy(array) for array in arrays])
