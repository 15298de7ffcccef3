"""What devices that share a batch do with their shares of loss and gradient; TensorFlow's distribution strategies."""

from __future__ import annotations

import keras

from ats_mag.backend import on_tensorflow
from ats_mag.model.adam_of_replicas import AdamOfReplicas
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

    `AdamOfReplicas` takes their sum. Keras' own optimisers sum what replicas give them after they have clipped it: given equal
    shares of the sum they see the same overflow, and clip each variable's to as many times the norm as there are replicas.
    """
    import tensorflow as tf

    inner = getattr(optimizer, "inner_optimizer", optimizer)
    takes_sum = isinstance(inner, AdamOfReplicas)
    if replicas() == 1 or not (takes_sum or inner is not optimizer or inner.global_clipnorm is not None):
        return gradients
    context, known = tf.distribute.get_replica_context(), [g for g in gradients if g is not None]
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.convert_to_tensor(g) for g in known]))
    of_each = 1 if takes_sum else replicas()
    return [None if g is None else next(summed) / of_each for g in gradients]
