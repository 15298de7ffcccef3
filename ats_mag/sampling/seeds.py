"""Seeds of random draws that differ between the replicas of a distribution strategy."""

from __future__ import annotations

from typing import Any

import keras

from ats_mag.backend import on_tensorflow
from ats_mag.tensors import Tensor

_FAR = 0x9E3779B9  # no seed that anyone chooses is so far from another


class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """Keras' generator, whose state every replica holds alike, with the replica's number added to what it gives.

    The state alone says what comes next, so a checkpoint of it is enough to go on exactly. The first replica, and a single
    device, draw what Keras' generator would have them draw.

    Args:
        seed: see `keras.random.SeedGenerator`.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, name="seed_generator", **kwargs)

    def next(self, ordered: bool = True) -> Tensor:
        seed = super().next(ordered)
        if not on_tensorflow():
            return seed
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        own = tf.cast(context.replica_id_in_sync_group, seed.dtype) * tf.constant(_FAR, seed.dtype)
        return seed + tf.stack([own, tf.zeros_like(own)])
