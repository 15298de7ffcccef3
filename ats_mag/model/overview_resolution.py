"""Slides whose overviews are of another resolution than the model's: every patch would be read from a wrong place."""

from __future__ import annotations

import keras
import numpy as np

from ats_mag.backend import on_jax
from ats_mag.slides.errors import callback_errors
from ats_mag.tensors import Overview, Tensor

_TOLERANCE = 1e-4  # um/px; a record holds float32
_TEXT = (
    "the overview of {which} is of {stated} um/px, the model was made for overviews of {expected:g} um/px, and every patch would be "
    "read from a wrong place: prepare the slides again with prepare.overview_mpp: {expected:g}, or make the model with "
    "overview_mpp={stated}"
)


def of_resolution(overview: Overview, stated: Tensor, expected: float) -> Overview:
    """The overviews, if they are of the resolution that is expected.

    Args:
        overview: `(B, h, w, 3)`.
        stated: `(B,)` um/px that they are of.
        expected: um/px.

    Raises:
        ValueError: they are not. A traced function raises it when it runs, on TensorFlow as a failed assertion.
    """
    if isinstance(stated, keras.KerasTensor):
        return overview
    try:
        check_resolution(np.asarray(stated), expected)
        return overview
    except (NotImplementedError, TypeError):  # numbers come when the graph runs
        return (_checked_on_host if on_jax() else _asserted)(overview, stated, expected)


def check_resolution(stated: np.ndarray | float, expected: float, which: str = "a slide") -> None:
    """As `of_resolution`, of numbers that are known; `which` is the slide, in the message."""
    wrong = np.ravel(stated)[~(np.abs(np.ravel(stated) - expected) <= _TOLERANCE)]
    if len(wrong):
        raise ValueError(_TEXT.format(which=which, stated=f"{wrong[0]:g}", expected=expected))


def _asserted(overview: Overview, stated: Tensor, expected: float) -> Overview:
    import tensorflow as tf

    stated = tf.cast(stated, tf.float32)
    difference = tf.abs(stated - expected)
    before, between, after = _TEXT.format(which="a slide", stated="\n", expected=expected).split("\n")
    # Of no slides there is no largest difference.
    worst = tf.strings.as_string(
        tf.concat([stated, [expected]], 0)[tf.argmax(tf.concat([difference, [0.0]], 0))], shortest=True
    )
    text = tf.strings.join([before, worst, between, worst, after])
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(difference <= _TOLERANCE), [text])]):
        return tf.identity(overview)


def _checked_on_host(overview: Overview, stated: Tensor, expected: float) -> Overview:
    import jax

    def check(stated: np.ndarray) -> np.ndarray:
        try:
            check_resolution(np.asarray(stated), expected)
        except ValueError as error:
            callback_errors.keep(error)
            raise
        return np.zeros((), overview.dtype)

    zero = jax.pure_callback(check, jax.ShapeDtypeStruct((), overview.dtype), jax.lax.stop_gradient(stated))
    return overview + zero
