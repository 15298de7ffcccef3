"""What devices that share a batch do with their shares of loss and gradient; TensorFlow's distribution strategies."""

from __future__ import annotations

import keras

from ats_mag.backend import on_tensorflow
from ats_mag.tensors import Tensor


def replicas() -> int:
    """How many devices share a batch."""
    if not on_tensorflow():
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def share_of_replica(slides: Tensor) -> Tensor:
    """What a replica's mean over its (counted) slides counts for, relative to other replicas: 1 where all have equally many."""
    import tensorflow as tf

    if replicas() == 1:
        return tf.ones(())
    mine = tf.cast(slides, tf.float32)
    everyone = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, mine)
    return mine * replicas() / tf.maximum(everyone, 1.0)


def gradients_of_all_replicas(
    optimizer: keras.optimizers.Optimizer, gradients: list[Tensor | None]
) -> list[Tensor | None]:
    """The gradients as the optimiser needs them to clip, and to look for overflow, on the batch as a whole.

    Keras clips the gradient of each replica for itself and sums then. Given equal shares of the sum, each clipped to
    its share of the norm (see `shared_norm`), the result is the clipped sum.
    """
    import tensorflow as tf

    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if replicas() == 1 or (inner is optimizer and inner.global_clipnorm is None):
        return gradients
    context, known = tf.distribute.get_replica_context(), [g for g in gradients if g is not None]
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.convert_to_tensor(g) for g in known]))
    return [None if g is None else next(summed) / replicas() for g in gradients]


def shared_norm(norm: float | None) -> float | None:
    """The `global_clipnorm` that an optimiser needs, in the scope of a strategy, to clip the whole gradient to `norm`."""
    return None if norm is None else norm / replicas()
