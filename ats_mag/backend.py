"""The backend that Keras runs on; TensorFlow and JAX are told apart here and nowhere else.

Keras, which loads its backend, is imported only when one is asked for: what reads slides alone begins seconds sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def on_tensorflow() -> bool:
    """Whether tensors are TensorFlow's: slides are read by its ops, also inside a graph, and float64 is there."""
    import keras

    return keras.backend.backend() == "tensorflow"


def on_jax() -> bool:
    """Whether tensors are JAX': slides are read by a callback on the host, with NumPy arrays."""
    import keras

    return keras.backend.backend() == "jax"


def while_loop(goes_on: Callable[..., Any], step: Callable[..., Any], state: tuple[Any, ...], ahead: int = 1) -> Any:
    """As `keras.ops.while_loop`, with a bound on the memory that it takes.

    Args:
        goes_on, step, state: as there.
        ahead: rounds that may be under way at a time. TensorFlow begins ten where one does not wait for the other's result.
    """
    if on_tensorflow():
        import tensorflow as tf

        return tf.while_loop(goes_on, step, state, parallel_iterations=ahead)
    import keras

    return keras.ops.while_loop(goes_on, step, state)


@contextmanager
def channels_last() -> Iterator[None]:
    """Within it, or as a decorator, layers are made for images whose channels come last, as all of this package's do.

    The `image_data_format` of the user's own `keras.json` may be another.
    """
    import keras

    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)
