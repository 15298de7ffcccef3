"""Replicas of a distribution strategy draw each for itself, and go on where they stood."""

import keras
import numpy as np
import tensorflow as tf

from ats_mag.sampling.draws import sample
from ats_mag.sampling.seeds import ReplicaSeedGenerator


def draws_of(strategy, seeds, times=2):
    """`(times, replicas, B, N)`: the first coordinate of what each replica draws."""
    attention = tf.fill((2, 16, 16, 1), 1 / 256)

    @tf.function
    def step():
        return strategy.run(lambda: sample(attention, 8, "sequential", seed=seeds).index)

    rounds = [strategy.experimental_local_results(step()) for _ in range(times)]
    return np.array([[replica.numpy()[..., 0] for replica in drawn] for drawn in rounds])


def test_replicas_draw_differently_and_go_on_from_their_state():
    strategy = tf.distribute.MirroredStrategy([cpu.name for cpu in tf.config.list_logical_devices("CPU")[:2]])
    with strategy.scope():
        seeds, again = ReplicaSeedGenerator(5), ReplicaSeedGenerator(5)
    found = draws_of(strategy, seeds, 3)
    assert len(np.unique(found.reshape(6, -1), axis=0)) == 6
    first = draws_of(strategy, again, 1)
    with strategy.scope():
        resumed = ReplicaSeedGenerator(0)
    resumed.state.assign(np.asarray(again.state))
    np.testing.assert_array_equal(np.concatenate([first, draws_of(strategy, resumed, 2)]), found)


def test_a_single_device_draws_as_with_keras():
    attention = np.full((2, 16, 16, 1), 1 / 256, "float32")
    found, expected = (
        [np.asarray(sample(attention, 8, "sequential", seed=seeds).index) for _ in range(2)]
        for seeds in (ReplicaSeedGenerator(5), keras.random.SeedGenerator(5))
    )
    np.testing.assert_array_equal(found, expected)
