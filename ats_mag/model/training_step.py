"""Training steps in which the reading of one part of the batch hides behind the computing of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from ats_mag.sampling.regularizers import MagnificationEntropy, MultinomialEntropy, PlaceEntropy

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier

DEFAULT_PARTS = 4


def parts_of(model: SlideClassifier) -> int:
    """Into how many parts a training step of the model may split its batch without changing any result.

    1 on another backend than TensorFlow, when run eagerly, and where the loss or a layer looks at the batch as a whole:
    batch statistics, regularisers that are no mean over slides, a loss that is no mean.
    """
    if keras.backend.backend() != "tensorflow" or model.run_eagerly or _whole_batch(model):
        return 1
    return DEFAULT_PARTS if model.overlap is None else model.overlap


def overlapped_step(model: SlideClassifier, data: Any, parts: int) -> Any:
    """Keras' training step, on `parts` parts of the batch, TensorFlow only.

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
    overview = x["overview"]
    parts = min(parts, overview.shape[0] or parts)
    slides = tf.shape(overview)[0]
    filling = model.on_error == "fill"  # how many slides count is known when all are read
    share = tf.ones(()) if filling else _share_of_replica(slides)
    variables = model.trainable_weights
    gradients: list[Any] = [None] * len(variables)
    predictions, readable, mean = [], [], tf.zeros(())
    trace = model._trace
    trace.turn = []
    try:
        for k in range(parts):
            trace.last_part = k == parts - 1
            start, end = k * slides // parts, (k + 1) * slides // parts
            count = end - start
            taken = slice(start, tf.maximum(end, start + 1))
            here, labels, weights = keras.tree.map_structure(
                lambda a, taken=taken: None if a is None else a[taken], (dict(x), y, sample_weight)
            )
            with tf.GradientTape() as tape:
                predicted = model(here, training=True)
                trace.keep(count)
                read = trace.readable
                part = model.compute_loss(here, labels, predicted, weights, training=True)
                counted = count if read is None else tf.reduce_sum(read)
                # Of no slides, a loss is no number.
                part = tf.where(counted > 0, part, 0.0) * (
                    tf.cast(counted, part.dtype) / tf.cast(tf.maximum(slides, 1), part.dtype)
                )
                scaled = model.optimizer.scale_loss(part * tf.cast(share, part.dtype))
            gradients = [_sum(a, b) for a, b in zip(gradients, tape.gradient(scaled, variables), strict=True)]
            predictions.append(predicted[:count])
            readable.append(None if read is None else read[:count])
            mean = mean + tf.cast(part, mean.dtype)
    finally:
        trace.turn, trace.last_part = None, True
    counted = slides
    if filling:
        trace.counted = tf.concat(readable, axis=0)
        counted = tf.reduce_sum(trace.counted)
        among = tf.cast(slides, tf.float32) / tf.maximum(counted, 1.0)
        share, mean = among * _share_of_replica(counted), mean * among
        gradients = [None if g is None else tf.convert_to_tensor(g) * tf.cast(share, g.dtype) for g in gradients]
    # Keras scales losses down by the number of replicas, whose gradients it sums.
    _loss_of(model).update_state(mean * replicas(), sample_weight=counted)
    model.optimizer.apply_gradients(zip(_of_all_replicas(model.optimizer, gradients), variables, strict=True))
    return model.compute_metrics(x, y, tf.concat(predictions, axis=0), sample_weight)


def counted_test_step(model: SlideClassifier, data: Any) -> Any:
    """Keras' test step, in whose mean loss a batch counts by the slides of which anything was read, TensorFlow only."""
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    predicted = model(x, training=False)
    counted = tf.reduce_sum(model._trace.readable)
    loss = model.compute_loss(x, y, predicted, sample_weight, training=False)
    _loss_of(model).update_state(loss * replicas(), sample_weight=counted)
    return model.compute_metrics(x, y, predicted, sample_weight)


def _loss_of(model: SlideClassifier) -> Any:
    """The metric of the mean loss."""
    return next(metric for metric in model.metrics if metric.name == "loss")


def replicas() -> int:
    """How many devices share a batch."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _share_of_replica(slides: Any) -> Any:
    """What a replica's mean over its (counted) slides counts for, relative to other replicas: 1 where all have equally many."""
    import tensorflow as tf

    if replicas() == 1:
        return tf.ones(())
    mine = tf.cast(slides, tf.float32)
    everyone = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, mine)
    return mine * replicas() / tf.maximum(everyone, 1.0)


def _of_all_replicas(optimizer: Any, gradients: list[Any]) -> list[Any]:
    """The gradients as the optimiser needs them to clip, and to look for overflow, on the batch as a whole.

    Keras clips the gradient of each replica for itself and sums then. Given equal shares of the sum, each clipped to
    its share of the norm (see `shared_norm`), the result is the clipped sum.
    """
    import tensorflow as tf

    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if replicas() == 1 or (inner is optimizer and inner.global_clipnorm is None):
        return gradients
    context, known = tf.distribute.get_replica_context(), [g for g in gradients if g is not None]
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.convert_to_tensor(g) for g in known]))
    return [None if g is None else next(summed) / replicas() for g in gradients]


def shared_norm(norm: float | None) -> float | None:
    """The `global_clipnorm` that an optimiser needs, in the scope of a strategy, to clip the whole gradient to `norm`."""
    return None if norm is None else norm / replicas()


def _sum(total: Any, gradient: Any) -> Any:
    import tensorflow as tf

    if total is None or gradient is None:
        return gradient if total is None else total
    return tf.convert_to_tensor(total) + tf.convert_to_tensor(gradient)  # dense, where they are slices


def mean_loss(model: Any) -> bool:
    """Whether the model's loss is a mean over slides."""
    reductions = {getattr(loss, "reduction", "mean") for loss in keras.tree.flatten(model.loss)}
    return reductions <= {"mean", "sum_over_batch_size"}


def _whole_batch(model: SlideClassifier) -> bool:
    statistics = any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in model._flatten_layers()
    )
    return statistics or not mean_loss(model) or not all(_per_slide(layer.regularizer) for layer in model.regularizers)


def _per_slide(regularizer: Any) -> bool:
    """Whether a regulariser is known to be a mean over the slides of a batch."""
    if isinstance(regularizer, MagnificationEntropy):
        return regularizer.per == "slide"
    return isinstance(regularizer, MultinomialEntropy | PlaceEntropy)
