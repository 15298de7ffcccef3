"""What metrics have counted comes back to the devices that counted it, or as a whole to the first of others."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ats_mag.training.metric_values import add_here, devices_here, parts_for, values_here

COUNTED = np.array([[1.0, 2.0], [10.0, 20.0]], "float32")  # of two devices


@pytest.mark.parametrize(
    ("devices", "first", "own", "expected"),
    [
        (2, 0, 2, [[1, 2], [10, 20]]),
        (2, 1, 1, [[10, 20]]),
        (1, 0, 1, [[11, 22]]),
        (4, 0, 2, [[11, 22], [0, 0]]),
        (4, 2, 2, [[0, 0], [0, 0]]),
    ],
)
def test_parts_of_what_was_counted(devices, first, own, expected):
    np.testing.assert_array_equal(parts_for(COUNTED, devices, first, own), expected)


def test_each_device_goes_on_with_its_own():
    strategy = tf.distribute.MirroredStrategy([cpu.name for cpu in tf.config.list_logical_devices("CPU")[:2]])
    with strategy.scope():
        total = keras.metrics.Sum().variables[0]
    add_here(total, [np.float32(1), np.float32(10)])
    add_here(total, [np.float32(2), np.float32(20)])
    assert [float(value) for value in values_here(total)] == [3, 30]
    assert float(keras.ops.convert_to_numpy(total)) == 33


def test_one_device_is_no_different(build):
    assert devices_here(build()) == 1
    total = keras.metrics.Sum().variables[0]
    add_here(total, [np.float32(3)])
    assert [float(value) for value in values_here(total)] == [3]
