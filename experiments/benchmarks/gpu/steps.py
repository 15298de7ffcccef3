"""A training step on Keras' JAX backend three ways: reading slide files, with patches on the device, the networks alone.

The contestants, each in a process of its own, so that each has a peak of device memory of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax
import keras
import numpy as np
from keras import ops

import ats_mag
from ats_mag.model.slide_inputs import slide_inputs

OVERVIEW = 8.0
MAGNIFICATIONS = (0.5, 2.0)


class Step:
    """A compiled model and the batches of one epoch.

    Args:
        slides: paths; the batch.
        policy: Keras' dtype policy, e.g. `mixed_bfloat16`.
        network: of `keras.applications`; None: the built-in one.
        patch_size, n_patches: of the patches.
        steps: per epoch.
    """

    def __init__(
        self, slides: Sequence[str], policy: str, network: str | None, patch_size: int, n_patches: int, steps: int
    ) -> None:
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        self.steps, self.patch_size, self.n_patches = steps, patch_size, n_patches
        if network is None:
            feature = ats_mag.feature_network(patch_size)
        else:
            feature = ats_mag.application_network(network, patch_size)
        self.classifier = ats_mag.SlideClassifier(
            2, MAGNIFICATIONS, patch_size, n_patches, OVERVIEW, feature=feature, explore_steps=0, seed=0
        )
        inputs = slide_inputs(slides, OVERVIEW, self.classifier.lattice.stride)
        self.batch = len(slides)
        self.inputs = {name: np.concatenate([values] * steps) for name, values in inputs.items()}
        self.labels = np.arange(self.batch * steps) % 2
        self.model = self.make()
        self.model.compile("adam", "sparse_categorical_crossentropy", metrics=[])

    def make(self) -> keras.Model:
        """The model that is trained."""
        return self.classifier

    def turn(self) -> float:
        """Seconds per step of an epoch."""
        begun = time.perf_counter()
        self.model.fit(self.inputs, self.labels, batch_size=self.batch, epochs=1, shuffle=False, verbose=0)
        jax.block_until_ready([variable.value for variable in self.model.trainable_variables])
        return (time.perf_counter() - begun) / self.steps

    def peak(self) -> int | None:
        """The most bytes of device memory taken; None where the device does not tell."""
        found = jax.devices()[0].memory_stats()
        return found.get("peak_bytes_in_use") if found else None

    def patches(self) -> np.ndarray:
        """Noise, `(B, N, P, P, 3)`: what a network computes costs the same whatever it sees."""
        shape = (self.batch, self.n_patches, self.patch_size, self.patch_size, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


class Reading(Step):
    """The classifier, with patches from the slide files."""


class Resident(Step):
    """The classifier, with patches that lie on the device already."""

    def make(self) -> keras.Model:
        self.classifier.reader = PatchesOnDevice(self.patches())
        return self.classifier


class Networks(Step):
    """The attention and the feature network alone, forward, backward and their update."""

    def make(self) -> keras.Model:
        return BothNetworks(self.classifier.attention, self.classifier.feature, self.patches())


class PatchesOnDevice(keras.layers.Layer):
    """In the place of `ReadSlidePatches`: always the same patches."""

    def __init__(self, patches: np.ndarray) -> None:
        super().__init__(autocast=False, dtype="float32")
        self.patches = self.add_weight(shape=patches.shape, dtype="uint8", trainable=False, initializer="zeros")
        self.patches.assign(patches)

    def read_cells(self, lattice: Any, path: Any, index: Any, geometry: Any) -> tuple[Any, Any]:
        return self.patches.value, ops.ones(index.shape[:2], dtype="bool")


class BothNetworks(keras.Model):
    """Probabilities from the means of both networks' outputs: next to nothing beside the networks."""

    def __init__(self, attention: keras.Model, feature: keras.Model, patches: np.ndarray) -> None:
        super().__init__(autocast=False)
        self.attention, self.feature = attention, feature
        self.reader = PatchesOnDevice(patches)

    def call(self, inputs: Any, training: bool = False) -> Any:
        logits = self.attention(ops.cast(inputs["overview"], "float32"), training=training)
        patches = self.reader.patches.value
        flat = ops.reshape(patches, (-1, *patches.shape[2:]))
        features = self.feature(ops.cast(flat, "float32"), training=training)
        features = ops.mean(ops.reshape(ops.cast(features, "float32"), (patches.shape[0], -1)), axis=1)
        score = ops.sigmoid(features + ops.mean(logits, axis=(1, 2, 3)))
        return ops.stack([score, 1 - score], axis=-1)
