"""Adaptive prediction as an endpoint of an exported model."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from ats_mag.model.adaptive.options import AdaptiveOptions
from ats_mag.model.adaptive.predict import read_adaptively
from ats_mag.model.adaptive.stopping import REASONS
from ats_mag.model.export.endpoint import Endpoint, assert_tissue, slides_of
from ats_mag.model.network import SlideNetwork
from ats_mag.slides.overview import Overview

NAME = "adaptive"
OPTIONS = {
    "confidence": tf.float32,
    "min_patches": tf.int32,
    "max_patches": tf.int32,
    "block": tf.int32,
    "first": tf.int32,
    "seed": tf.int32,
}


def adaptive_endpoint(model: SlideNetwork, view: Callable[[tf.Tensor, tf.Tensor], Overview]) -> Endpoint:
    """The endpoint, see `savedmodel.export_model`.

    Args:
        model: with bounded features.
        view: ``view(path, slide_mpp)`` of one slide, padded to whole cells.
    """

    def adaptive(path: tf.Tensor, slide_mpp: tf.Tensor, *options: tf.Tensor) -> dict[str, tf.Tensor]:
        given = dict(zip(OPTIONS, options, strict=True))
        most = tf.where(given["max_patches"] < 1, tf.int32.max, given["max_patches"])

        def read(slide: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            image, mask, geometry = view(*slide)
            path, mask = slide[0][None], mask[None]
            with tf.control_dependencies([assert_tissue(mask, path)]):
                inputs = {"overview": image[None], "mask": mask, "path": path, "geometry": geometry[None]}
                attention = model.attend(inputs)
            noise = _uniform(tf.size(attention), given["seed"])
            limits = (1 - given["confidence"], given["min_patches"], most, given["block"], given["first"])
            found = read_adaptively(model, inputs, attention, noise, *limits)
            probabilities = model.activation(found.scores[None])[0]
            reason = tf.gather(tf.constant(REASONS), found.reason)
            return probabilities, found.scores, found.low, found.high, found.count, reason

        row = tf.TensorSpec((model.head.units,), tf.float32)
        signature = (row, row, row, row, tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.string))
        found = tf.map_fn(read, slides_of(path, slide_mpp), fn_output_signature=signature)
        names = ("probabilities", "score", "score_low", "score_high", "n_patches", "reason")
        return dict(zip(names, found, strict=True))

    signature = [tf.TensorSpec(None, tf.string, name="path"), tf.TensorSpec((), tf.float64, name="slide_mpp")]
    signature += [tf.TensorSpec((), dtype, name=name) for name, dtype in OPTIONS.items()]
    return Endpoint(NAME, adaptive, signature)


def serving_options(options: AdaptiveOptions) -> dict[str, tf.Tensor]:
    """The options as the endpoint takes them."""
    given = {name: getattr(options, name) for name in OPTIONS}
    given |= {"max_patches": options.max_patches or 0, "seed": -1 if options.seed is None else options.seed}
    return {name: tf.constant(given[name], dtype) for name, dtype in OPTIONS.items()}


def _uniform(cells: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Random numbers `(1, cells)`: with a seed, those that `keras.random.uniform` makes of it."""
    shape = (1, cells)
    return tf.cond(
        seed < 0,
        lambda: tf.random.uniform(shape),
        lambda: tf.random.stateless_uniform(shape, seed=tf.stack([seed, 0])),
    )
