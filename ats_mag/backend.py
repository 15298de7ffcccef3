"""The backend that Keras runs on; TensorFlow and JAX are told apart here and nowhere else."""

from __future__ import annotations

import keras


def on_tensorflow() -> bool:
    """Whether tensors are TensorFlow's: slides are read by its ops, also inside a graph, and float64 is there."""
    return keras.backend.backend() == "tensorflow"


def on_jax() -> bool:
    """Whether tensors are JAX': slides are read by a callback on the host, with NumPy arrays."""
    return keras.backend.backend() == "jax"
