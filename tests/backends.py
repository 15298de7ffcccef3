"""Gradients, double precision and the number of examples on whichever backend Keras runs."""

import contextlib
import functools
import os

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax
else:
    import tensorflow as tf


SHARE = float(os.environ.get("ATS_MAG_EXAMPLES", "0.2"))


def examples(count):
    """How many examples a property is tried with, of `count` in a long run: the share that ATS_MAG_EXAMPLES says, by default a fifth.

    On JAX, which compiles nearly each for itself, a third of that.
    """
    return max(3, round(count * SHARE / (3 if keras.backend.backend() == "jax" else 1)))


def double_precision():
    """Context in which float64 arrays stay float64; JAX makes them float32 elsewhere."""
    return jax.enable_x64(True) if keras.backend.backend() == "jax" else contextlib.nullcontext()


def value_and_gradients(function, *arrays):
    """Value of a scalar function and its gradients by every argument, as NumPy arrays."""
    if keras.backend.backend() == "jax":
        differentiated = jax.jit(jax.value_and_grad(function, argnums=tuple(range(len(arrays)))))
        value, gradients = differentiated(*map(jax.numpy.asarray, arrays))
    else:
        tensors = [tf.convert_to_tensor(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return np.asarray(value), [np.asarray(gradient) for gradient in gradients]


def compiled(function):
    """The function compiled by XLA, also in tests that run the rest without tracing."""
    if keras.backend.backend() == "jax":
        return jax.jit(function)
    traced = tf.function(function, jit_compile=True)

    @functools.wraps(function)
    def call(*arguments):
        untraced = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(False)
        try:
            return traced(*arguments)
        finally:
            tf.config.run_functions_eagerly(untraced)

    return call
