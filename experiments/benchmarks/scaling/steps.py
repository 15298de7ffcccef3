"""What the processes of the benchmark share: things to do by name, their time and their memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import ats_mag
from ats_mag.system import memory
from ats_mag.tensors import Probabilities

SIZE, PATCHES, CHUNK = 224, 16, 32
FINE, COARSE, OVERVIEW = 0.5, 2.0, 8.0  # um/px
LABEL = np.zeros((1,), np.int32)


class Steps:
    """What is measured of a process: named things to do, and its memory.

    Args:
        path: of the slide.
        side: its width and height.
        network: the feature network, of `keras.applications`; None: the built-in one.
    """

    def __init__(self, path: str, side: int, network: str | None) -> None:
        self.path, self.side, self.network = path, side, network
        self.baseline = self.most = 0

    def do(self, name: str) -> dict[str, float]:
        """Does it once: seconds on the clock, and the most memory meanwhile, in MiB above the baseline."""
        step: Callable[[], object] = getattr(self, name)
        self.most = max(self.most, memory.largest())
        memory.forget_peak()
        begun = time.perf_counter()
        step()
        seconds = time.perf_counter() - begun
        peak = memory.peak()
        self.most = max(self.most, peak)
        return {"seconds": seconds, "peak_mib": (peak - self.baseline) / memory.MIB}

    def held(self) -> dict[str, float]:
        """MiB that the process held with its networks made, and the most it ever took above that."""
        most = max(self.most, memory.largest())
        return {"baseline_mib": self.baseline / memory.MIB, "peak_mib": (most - self.baseline) / memory.MIB}

    def feature_network(self) -> keras.Model:
        """The same for all, untrained."""
        if self.network is None:
            return ats_mag.feature_network(SIZE)
        return ats_mag.application_network(self.network, SIZE)

    def classifier(self) -> ats_mag.SlideClassifier:
        """Ours, with that feature network."""
        feature = self.feature_network()
        return ats_mag.SlideClassifier(
            2,
            (FINE, COARSE),
            SIZE,
            PATCHES,
            OVERVIEW,
            feature=feature,
            explore_steps=0,
            auxiliary=0,
            regularizers=(),
            seed=0,
        )


def loss_of(probabilities: Probabilities) -> tf.Tensor:
    """The cross-entropy."""
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(LABEL, probabilities))
