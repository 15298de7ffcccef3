"""The devices that a training runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ats_mag.config.schema import TrainConfig
from ats_mag.geometry.multiples import ceil_div

if TYPE_CHECKING:
    import tensorflow as tf


def strategy_of(settings: TrainConfig) -> tf.distribute.Strategy | None:
    """A `tf.distribute.MirroredStrategy` over all GPUs (without any, all logical CPUs); None for one device.

    Raises:
        ValueError: the devices are those of a cluster, whose hosts have not met.
    """
    if settings.devices == "one":
        return None
    if settings.devices == "cluster":
        raise ValueError(
            "train.devices: cluster trains over hosts that meet first: run `ats-mag train`, or give train_fold the hosts of "
            "ats_mag.training.hosts.opening.open_hosts"
        )
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return None
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def batch_for(slides: int, batch_size: int, strategy: tf.distribute.Strategy | None) -> int:
    """The largest batch, no larger than asked for, whose slides go round the devices, in an epoch's last batch, too.

    A device without a slide has nothing to compute on; some of TensorFlow's kernels divide by the number of slides.

    Args:
        slides: of an epoch.
        batch_size: asked for, of all devices together.
        strategy: as `strategy_of` gives it.

    Raises:
        ValueError: there is none.
    """
    if strategy is None:
        return batch_size
    devices = strategy.num_replicas_in_sync
    for size in range(min(batch_size, slides * devices), 0, -1):  # one that is larger leaves a device without a slide
        before_last = (devices - 1) * ceil_div(size, devices)  # slides of all devices but the last, which gets the rest
        if min(size, slides, slides % size or size) > before_last:
            return size
    raise ValueError(
        f"no batch of up to {batch_size} slides divides {slides} slides so that each of {devices} devices has one in every "
        "batch: raise train.batch_size, or set train.devices: one"
    )
