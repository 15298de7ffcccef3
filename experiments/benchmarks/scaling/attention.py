"""The overview and the attention network over it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ats_mag.sampling.regularizers import MagnificationEntropy, PlaceEntropy
from ats_mag.slides.overview import WHITE, pad_to_multiple, view_slide
from ats_mag.system import memory
from ats_mag.tensors import Attention
from experiments.benchmarks.scaling.steps import OVERVIEW, Steps


class AttentionAlone(Steps):
    """What grows with the slide's area: its overview (a 256th of its pixels), and the attention network over it."""

    def __init__(self, path: str, side: int, network: str | None) -> None:
        super().__init__(path, side, network)
        self.model = model = self.classifier()
        self.penalties = [PlaceEntropy(0.03), MagnificationEntropy(0.3)]
        self.overview: dict[str, tf.Tensor] | None = None
        self._train, self._predict = tf.function(self._train_step), tf.function(model.attend)
        self.baseline = memory.resident()

    def look(self) -> None:
        """Reads the overview and finds the tissue."""
        view, stride = view_slide(self.path, OVERVIEW), self.model.lattice.stride
        image, mask = pad_to_multiple(view.image, stride, WHITE), pad_to_multiple(view.mask, stride, 0)
        self.overview = {"overview": image[None], "mask": mask[None]}

    def train(self) -> list[np.ndarray]:
        """The penalties' gradient by the network's weights."""
        return [tensor.numpy() for tensor in self._train(self._seen())]

    def predict(self) -> Attention:
        """The attention."""
        return self._predict(self._seen()).numpy()

    def _seen(self) -> dict[str, tf.Tensor]:
        if self.overview is None:
            self.look()
        return self.overview

    def _train_step(self, inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            attention = self.model.attend(inputs, training=True)
            penalty = sum(regularizer(attention) for regularizer in self.penalties)
        return tape.gradient(penalty, self.model.attention.trainable_variables)
