"""The devices that a training runs on."""

from __future__ import annotations

from typing import Any

from ats_mag.config import TrainConfig


def strategy_of(settings: TrainConfig) -> Any:
    """A `tf.distribute.MirroredStrategy` over all GPUs (without any, all logical CPUs); None for one device.

    Raises:
        ValueError: gradients are to be accumulated on several devices, which Keras cannot.
    """
    if settings.devices == "one":
        return None
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return None
    if settings.accumulate > 1:
        raise ValueError(
            f"train.accumulate={settings.accumulate} works on one device, and train.devices: all finds {len(devices)}: "
            "set train.devices: one, or train.accumulate: 1 and a larger train.batch_size"
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices])
