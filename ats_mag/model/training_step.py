"""The training and test steps, on TensorFlow; on JAX they are Keras' own.

A training step may split its batch: the reading of one part of the slides hides behind the computing of another.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras

from ats_mag.backend import on_tensorflow
from ats_mag.model.forward_pass import WHOLE, ForwardPass, ReadingTurns, StepPart
from ats_mag.model.network import SlideNetwork
from ats_mag.model.replicas import gradients_of_all_replicas, replicas, share_of_replica
from ats_mag.sampling.regularizers import MagnificationEntropy, MultinomialEntropy, PlaceEntropy
from ats_mag.tensors import Tensor

DEFAULT_PARTS = 4


def parts_of(model: SlideNetwork, overlap: int | None) -> int:
    """Into how many parts a training step of the model may split its batch without changing any result.

    1 on another backend than TensorFlow, when run eagerly, and where the loss or a layer looks at the batch as a whole:
    batch statistics, regularisers that are no mean over slides, a loss that is no mean.

    Args:
        model: compiled.
        overlap: into how many it shall. None: `DEFAULT_PARTS`.
    """
    if not on_tensorflow() or model.run_eagerly or _whole_batch(model):
        return 1
    return DEFAULT_PARTS if overlap is None else overlap


def training_step(model: SlideNetwork, data: Any, parts: int) -> dict[str, Tensor]:
    """Keras' training step, on `parts` parts of the batch.

    Each part attends, draws, reads, computes and differentiates for itself, and the weights are updated once. Nothing
    makes a part's reading wait for another's computing, so TensorFlow runs them side by side on its inter-op threads.
    The reads alone take turns: read all at once they would end at once, and all computing would wait for that.

    Args:
        model: compiled.
        data: a batch as Keras hands it to `train_step`.
        parts: of nearly equal size; those beyond the number of slides take a slide again, with no share in anything.

    Returns:
        The metrics.
    """
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    x, counts = _counted(x)
    overview = x["overview"]
    if overview.shape[0] == 0:
        raise ValueError("a batch without a slide cannot be trained on. Received: inputs of batch size 0")
    parts = min(parts, overview.shape[0] or parts)
    slides = _note_progress(model, tf.shape(overview)[0])
    filling = model.on_error == "fill"  # how many slides count is known when all are read
    share = tf.ones(()) if filling else share_of_replica(slides * counts)
    variables = model.trainable_weights
    gradients: list[Tensor | None] = [None] * len(variables)
    passes: list[ForwardPass] = []
    mean = tf.zeros(())
    turns = ReadingTurns() if parts > 1 else None
    for k in range(parts):
        start, end = k * slides // parts, (k + 1) * slides // parts
        count = (end - start) * counts
        here, labels, weights = (
            (dict(x), y, sample_weight) if parts == 1 else _taken(start, end, (dict(x), y, sample_weight))
        )
        with tf.GradientTape() as tape:
            found = model(here, training=True, part=StepPart(last=k == parts - 1, turns=turns))
            found = _without_fillers(found, count)
            part = model.compute_loss(here, labels, found, weights, training=True)
            counted = count if found.readable is None else tf.reduce_sum(found.readable)
            # Of no slides, a loss is no number.
            part = tf.where(counted > 0, part, 0.0) * (
                tf.cast(counted, part.dtype) / tf.cast(tf.maximum(slides, 1), part.dtype)
            )
            scaled = model.optimizer.scale_loss(part * tf.cast(share, part.dtype))
        gradients = [_sum(a, b) for a, b in zip(gradients, tape.gradient(scaled, variables), strict=True)]
        n = end - start
        passes.append(
            found if parts == 1 else keras.tree.map_structure(lambda a, n=n: a if a is None else a[:n], found)
        )
        mean = mean + tf.cast(part, mean.dtype)
    whole = passes[0] if parts == 1 else _joined(passes)
    counted = slides * counts
    if filling:
        counted = tf.reduce_sum(whole.readable)
        among = tf.cast(slides, tf.float32) / tf.maximum(counted, 1.0)
        share, mean = among * share_of_replica(counted), mean * among
        gradients = [None if g is None else tf.convert_to_tensor(g) * tf.cast(share, g.dtype) for g in gradients]
    _count_loss(model, mean, counted)
    if model.on_progress is not None:
        with tf.control_dependencies([g for g in gradients if g is not None]):
            noted = _note_progress(model, tf.constant(0))
        with tf.control_dependencies([noted]):
            gradients = [None if g is None else tf.identity(g) for g in gradients]
    if variables:
        model.optimizer.apply_gradients(
            zip(gradients_of_all_replicas(model.optimizer, gradients), variables, strict=True)
        )
    else:
        warnings.warn("the model does not have any trainable weights", stacklevel=2)
    return model.compute_metrics(x, y, _for_metrics(whole, counts), sample_weight)


def test_step(model: SlideNetwork, data: Any) -> dict[str, Tensor]:
    """Keras' test step, in whose mean loss a batch counts by the slides of which anything was read."""
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    x, counts = _counted(x)
    found = model(x, training=False, part=WHOLE)
    slides = tf.shape(x["overview"])[0] * counts
    found = _without_fillers(found, slides)
    loss = model.compute_loss(x, y, found, sample_weight, training=False)
    _count_loss(model, loss, slides if found.readable is None else tf.reduce_sum(found.readable))
    return model.compute_metrics(x, y, _for_metrics(found, counts), sample_weight)


def mean_loss(model: keras.Model) -> bool:
    """Whether the model's loss is a mean over slides."""
    reductions = {getattr(loss, "reduction", "mean") for loss in keras.tree.flatten(model.loss)}
    return reductions <= {"mean", "sum_over_batch_size"}


def _note_progress(model: SlideNetwork, number: Tensor) -> Tensor:
    """The number `()` int32, once `on_progress` was called."""
    import tensorflow as tf

    told = model.on_progress
    if told is None:
        return number

    def note(value: Any) -> Any:
        told()
        return value

    with tf.device("CPU:0"):
        return tf.ensure_shape(tf.numpy_function(note, [tf.identity(number)], tf.int32), ())


def _counted(x: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor | int]:
    """The inputs, and 0 where the slide among them only fills a device that has none of the batch, else 1."""
    import tensorflow as tf

    if "counted" not in x:
        return x, 1
    return {name: value for name, value in x.items() if name != "counted"}, tf.cast(
        tf.reduce_max(x["counted"]), tf.int32
    )


def _for_metrics(found: ForwardPass, counts: Tensor | int) -> ForwardPass:
    """The pass, of which nothing counts where its slide only fills a device."""
    import tensorflow as tf

    if isinstance(counts, int):
        return found
    counted = tf.ones_like(found.entropy) * tf.cast(counts, tf.float32)
    return found._replace(
        counted=counted,
        readable=counted if found.readable is None else found.readable * counted,
        unreadable=None if found.unreadable is None else found.unreadable * counted,
    )


def _taken(start: Tensor, end: Tensor, batch: Any) -> Any:
    """The slides from `start` to `end` of a batch; one to fill the part where that is none."""
    import tensorflow as tf

    taken = slice(start, tf.maximum(end, start + 1))
    return keras.tree.map_structure(lambda a: None if a is None else a[taken], batch)


def _without_fillers(found: ForwardPass, count: Tensor) -> ForwardPass:
    """The pass in which slides beyond the first `count` are as if nothing could be read of them."""
    import tensorflow as tf

    if found.readable is None:
        return found
    return found._replace(readable=tf.where(tf.range(tf.shape(found.readable)[0]) < count, found.readable, 0.0))


def _joined(passes: list[ForwardPass]) -> ForwardPass:
    """One pass of the slides of all."""
    import tensorflow as tf

    return keras.tree.map_structure(lambda *parts: None if parts[0] is None else tf.concat(parts, axis=0), *passes)


def _count_loss(model: keras.Model, loss: Tensor, slides: Tensor) -> None:
    """Updates the metric of the mean loss. Keras scales losses down by the number of replicas, whose gradients it sums."""
    metric = next(metric for metric in model.metrics if metric.name == "loss")
    metric.update_state(loss * replicas(), sample_weight=slides)


def _sum(total: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    import tensorflow as tf

    if total is None or gradient is None:
        return gradient if total is None else total
    return tf.convert_to_tensor(total) + tf.convert_to_tensor(gradient)  # dense, where they are slices


def _whole_batch(model: SlideNetwork) -> bool:
    statistics = any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in model.every_layer()
    )
    return statistics or not mean_loss(model) or not all(_per_slide(layer.regularizer) for layer in model.regularizers)


def _per_slide(regularizer: object) -> bool:
    """Whether a regulariser is known to be a mean over the slides of a batch."""
    if isinstance(regularizer, MagnificationEntropy):
        return regularizer.per == "slide"
    return isinstance(regularizer, MultinomialEntropy | PlaceEntropy)
