"""The backend that Keras runs on; TensorFlow and JAX are told apart here and nowhere else.

Keras, which loads its backend, is imported only when one is asked for: what reads slides alone begins seconds sooner.
"""

from __future__ import annotations


def on_tensorflow() -> bool:
    """Whether tensors are TensorFlow's: slides are read by its ops, also inside a graph, and float64 is there."""
    import keras

    return keras.backend.backend() == "tensorflow"


def on_jax() -> bool:
    """Whether tensors are JAX': slides are read by a callback on the host, with NumPy arrays."""
    import keras

    return keras.backend.backend() == "jax"
