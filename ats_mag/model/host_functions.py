"""The functions that Keras' loops call on every batch, for a model whose replicas are on several hosts.

Keras' own reduce each value of the logs over all hosts along an axis that these numbers do not have, and fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras

from ats_mag.backend import on_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf


def over_hosts(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas of a strategy are in several processes."""
    if not on_tensorflow():
        return False
    import tensorflow as tf

    found = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return found and strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


def function_of_hosts(model: keras.Model, step: Callable[[Any], Any]) -> Callable[[Iterator[Any]], Any]:
    """A `train_function` or `test_function`: a step on the next batch of every replica of this host.

    The logs are those of this host's first replica; those of an epoch, which Keras reads from the metrics, are of all.

    Args:
        model: compiled in the scope of its strategy.
        step: its `train_step` or `test_step`.

    Raises:
        ValueError: the model was compiled with `steps_per_execution` or `jit_compile`.
    """
    import tensorflow as tf

    if model.steps_per_execution != 1 or model.jit_compile:
        raise ValueError(
            "a model is trained over several hosts with steps_per_execution=1 and jit_compile=False. Received: "
            f"steps_per_execution={model.steps_per_execution}, jit_compile={model.jit_compile}"
        )
    strategy = model.distribute_strategy

    def on_data(data: Any) -> Any:
        found = strategy.run(step, args=(data,))
        return keras.tree.map_structure(lambda value: strategy.experimental_local_results(value)[0], found)

    def on_iterator(iterator: Any) -> Any:
        return on_data(iterator.get_next())

    if not model.run_eagerly:
        on_data, on_iterator = (tf.function(f, reduce_retracing=True, autograph=False) for f in (on_data, on_iterator))

    def function(iterator: Iterator[Any]) -> Any:
        if isinstance(iterator, tf.distribute.DistributedIterator):
            return on_iterator(iterator)
        return on_data(next(iterator))

    return function
