"""Adam on a batch that two devices share takes the steps of one device on the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ats_mag.model.adam_of_replicas import AdamOfReplicas
from ats_mag.model.replicas import gradients_of_all_replicas

GRADIENTS = np.random.default_rng(0).normal(size=(6, 2, 3)).astype("float32") * [[[1], [5]]]  # of 6 steps on 2 replicas


def steps(build, gradients, strategy=None):
    """The weights after each step, by an optimiser on replicas whose gradients sum up."""
    scope = tf.distribute.get_strategy() if strategy is None else strategy
    with scope.scope():
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = build()
        optimizer.build([weight])

    @tf.function
    def step(values):
        optimizer.apply_gradients([(gradients_of_all_replicas(optimizer, [values])[0], weight)])

    found = []
    for values in gradients:
        each = [tf.constant(value, tf.float32) for value in values]
        if strategy is None:
            step(each[0])
        else:
            given = strategy.experimental_distribute_values_from_function(
                lambda context, each=each: each[context.replica_id_in_sync_group]
            )
            strategy.run(step, args=(given,))
        found.append(keras.ops.convert_to_numpy(weight).copy())
    return np.array(found)


@pytest.mark.graphs
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.long),
        pytest.param({"clipnorm": 0.5}, marks=pytest.mark.long),
        pytest.param({"global_clipnorm": 0.5}, marks=pytest.mark.long),
        {"global_clipnorm": 0.5, "gradient_accumulation_steps": 3},
    ],
)
def test_replicas_take_the_steps_of_one(options):
    cpus = [cpu.name for cpu in tf.config.list_logical_devices("CPU")[:2]]
    found = steps(lambda: AdamOfReplicas(0.1, **options), GRADIENTS, tf.distribute.MirroredStrategy(cpus))
    whole = GRADIENTS.sum(axis=1, keepdims=True)
    for kind in (keras.optimizers.Adam, AdamOfReplicas):  # on one device it is Adam
        np.testing.assert_allclose(found, steps(lambda kind=kind: kind(0.1, **options), whole), rtol=1e-5)
    if "gradient_accumulation_steps" in options:
        assert len(np.unique(found, axis=0)) == 3  # the beginning, and two steps
