"""What metrics have counted so far, on each device of this process: the sums that a resumed epoch goes on with.

A metric's value is the sum over all devices. To go on to the last digit, each device needs its own part of it again.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def values_here(variable: keras.Variable) -> list[np.ndarray]:
    """What each device of this process has counted."""
    return [np.array(part) for part in _parts(variable)]


def add_here(variable: keras.Variable, values: list[np.ndarray]) -> None:
    """Adds to what each device of this process has counted."""
    for part, value in zip(_parts(variable), values, strict=True):
        part.assign(np.asarray(part) + value)


def devices_here(model: keras.Model) -> int:
    """How many devices of this process share a batch."""
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None or strategy.num_replicas_in_sync == 1:  # Keras names TensorFlow's default, which has no list
        return 1
    return len(strategy.extended.worker_devices)


def parts_for(counted: np.ndarray, devices: int, first: int, own: int) -> list[np.ndarray]:
    """What devices go on with: what each had, or where there are others now, the first one the sum.

    Args:
        counted: `(D, ...)`, of the devices that there were.
        devices: that there are now.
        first: number of this process's first device.
        own: how many it has.
    """
    if len(counted) == devices:
        return list(counted[first : first + own])
    whole = counted.sum(axis=0, dtype=counted.dtype)
    return [whole if first + k == 0 else np.zeros_like(whole) for k in range(own)]


def _parts(variable: keras.Variable) -> list[Any]:
    """The variable of each device of this process."""
    strategy = getattr(variable.value, "distribute_strategy", None)
    if strategy is None:
        return [variable]
    return list(strategy.experimental_local_results(variable.value))
