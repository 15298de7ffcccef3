"""What a model looked at, and what each patch did to its prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from ats_mag.model.looked_plot import plot_inspection
from ats_mag.model.network import Inputs, SlideNetwork
from ats_mag.system.short_repr import ShortRepr
from ats_mag.tensors import Noise

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Inspection(ShortRepr):
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
        overview: `(B, h, w, 3)` uint8, what the attention saw.
        classes: names of what `probabilities` are of; of a `binary` model the second class alone.
        magnifications: um/px of the patches of each.
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
    overview: np.ndarray
    classes: list[str]
    magnifications: tuple[float, ...]

    def plot(self, slide: int = 0) -> Figure:
        """A figure of one slide of the batch: overview, attention and the heaviest patches; see `looked_plot`."""
        return plot_inspection(self, slide)


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
    samples = model.draw(attention, noise, method=method, n=n_patches or 0, geometry=inputs["geometry"])
    location, downsample = model.place(inputs, samples.index)
    patches, valid = model.read(inputs, samples.index)
    weight = ops.where(valid, samples.weight, 0.0)
    features = model.features_of(patches)
    contribution = ops.matmul(features * weight[..., None], model.head.kernel)
    found = {
        "probabilities": model.finite(model.classify(features, weight)),
        "attention": attention,
        "index": samples.index,
        "location": location,
        "downsample": downsample,
        "weight": weight,
        "patches": patches,
        "valid": valid,
        "contribution": contribution,
        "overview": inputs["overview"],
    }
    arrays: dict[str, Any] = {name: ops.convert_to_numpy(value) for name, value in found.items()}
    classes = list(model.classes)[-model.head.units :]
    return Inspection(**arrays, classes=classes, magnifications=model.magnifications)
