"""Reading a slide's patches block by block until its class cannot change any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from ats_mag.backend import on_tensorflow
from ats_mag.model.adaptive.bounds import score_range
from ats_mag.model.adaptive.hypotheses import hypotheses_of
from ats_mag.model.adaptive.options import AdaptiveOptions
from ats_mag.model.adaptive.reading_order import draw_order
from ats_mag.model.adaptive.stopping import (
    REASONS,
    Problem,
    Reading,
    Verdict,
    contrasts,
    nothing_read,
    read_more,
    verdict,
)
from ats_mag.model.heads import Head
from ats_mag.model.network import Inputs, SlideNetwork
from ats_mag.tensors import Attention, Noise, Tensor


@dataclass(frozen=True)
class AdaptivePrediction:
    """What a model says of one slide after as many patches as that took.

    All intervals hold together, with the chosen confidence, for what reading every cell would give.

    Attributes:
        probabilities: `(C,)` of the classes, estimated, for `binary` of both.
        low, high: `(C,)`, the interval of each probability.
        scores: `(C,)` before the activation; `(1,)` for `binary`.
        score_low, score_high: the interval of each score.
        n_patches: how many were read.
        reason: `decided` (the class cannot change), `max_patches` (it may), or `exhausted` (every cell was read: exact).
    """

    probabilities: np.ndarray
    low: np.ndarray
    high: np.ndarray
    scores: np.ndarray
    score_low: np.ndarray
    score_high: np.ndarray
    n_patches: int
    reason: str


def predict_adaptively(
    model: SlideNetwork, inputs: Inputs, options: AdaptiveOptions, noise: Noise | None = None
) -> list[AdaptivePrediction]:
    """Predicts slides with as few patches as the confidence allows, whatever the model's `test_method`.

    Args:
        model: with features that have a bound, see `bounds.score_range`.
        inputs: a batch, as for the model's call; the slides are read one after the other.
        options: when to stop.
        noise: `(B, H * W * M)` uniform(0, 1) numbers that replace the random draws.

    Returns:
        One for each slide.

    Raises:
        ValueError: features without a bound, or a slide without any cell to look at.
        tf.errors.OpError: as the model itself; on JAX ordinary exceptions.
    """
    attention = model.attend(inputs)
    model.finite(attention, "(its attention)")
    cells = ops.convert_to_numpy(ops.any(attention > 0, axis=(1, 2, 3)))
    if not cells.all():
        raise ValueError(f"slide {int(np.argmin(cells))} of the batch has no tissue: nothing can be predicted of it")
    if noise is None:
        shape = (1, int(np.prod(attention.shape[1:])))
        seed = model.seed_generator if options.seed is None else options.seed
        numbers = [keras.random.uniform(shape, dtype="float32", seed=seed) for _ in cells]
    else:
        numbers = [noise[i : i + 1] for i in range(len(cells))]
    found = []
    for i, uniform in enumerate(numbers):
        slide = {name: value[i : i + 1] for name, value in inputs.items()}
        limits = (1 - options.confidence, options.min_patches, options.max_patches or 2**31 - 1)
        ended = read_adaptively(model, slide, attention[i : i + 1], uniform, *limits, options.block, options.first)
        score = model.finite(ended[0], f"(scores) of slide {i} of the batch")
        found.append(adaptive_prediction(model.head_kind, score, *(ops.convert_to_numpy(part) for part in ended[1:])))
    return found


def read_adaptively(
    model: SlideNetwork,
    inputs: Inputs,
    attention: Attention,
    noise: Noise,
    alpha: Tensor,
    min_patches: Tensor,
    max_patches: Tensor,
    block: Tensor,
    first: Tensor,
) -> Verdict:
    """Reads one slide: `inputs` and `attention` `(1, H, W, M)` of it. See `AdaptiveOptions` for the rest."""
    kernel, bias = (ops.cast(weight, "float32") for weight in (model.head.kernel, model.head.bias))
    order = draw_order(attention, noise, first)
    hypotheses = hypotheses_of(model.head_kind, kernel.shape[1])
    problem = Problem(
        order=order,
        hypotheses=hypotheses,
        bias=bias,
        score_range=score_range(model, kernel),
        contrast_range=score_range(model, contrasts(hypotheses, kernel)),
        alpha=ops.cast(alpha, "float32"),
        first=first,
    )

    def scores_of(start: Tensor, n: Tensor) -> Tensor:
        here = ops.slice(order.index, (start, 0), (n, 3))[None]
        features, valid = model.features_at(inputs, here)
        features = ops.where(valid[..., None], features, 0.0)
        return ops.matmul(features[0], kernel)

    return verdict(problem, read_until_decided(problem, scores_of, min_patches, max_patches, block))


def read_until_decided(
    problem: Problem,
    scores_of: Callable[[Tensor, Tensor], Tensor],
    min_patches: Tensor,
    max_patches: Tensor,
    block: Tensor,
) -> Reading:
    """Reads blocks until the class is decided or nothing may be read any more.

    Args:
        problem: of the slide.
        scores_of: ``scores_of(start, n)`` -> `(n, C)`: what the features of n cells from number `start` of the order on add
            to the scores.
        min_patches, max_patches, block: see `AdaptiveOptions`.
    """
    limit = ops.minimum(problem.order.cells, max_patches)

    def goes_on(*reading: Tensor) -> Tensor:
        now = Reading(*reading)
        enough = ops.logical_and(now.decided, now.count >= min_patches)
        return ops.logical_and(now.count < limit, ops.logical_not(enough))

    def read_block(*reading: Tensor) -> tuple[Tensor, ...]:
        now = Reading(*reading)
        n = ops.minimum(limit - now.count, block)
        return tuple(read_more(problem, now, scores_of(now.count, n)))

    reading = tuple(nothing_read(problem))
    if on_tensorflow():
        return Reading(*ops.while_loop(goes_on, read_block, reading))
    while goes_on(*reading):  # a loop that JAX traces could not read a last block of another size
        reading = read_block(*reading)
    return Reading(*reading)


def adaptive_prediction(
    head: Head, scores: np.ndarray, low: np.ndarray, high: np.ndarray, count: Tensor, reason: Tensor
) -> AdaptivePrediction:
    """A verdict of NumPy arrays as the prediction of a model with that kind of head.

    A probability is least where its own score is lowest and, of classes that exclude each other, all others are highest. As all
    intervals of scores hold together, so do those of the probabilities.
    """
    from scipy.special import expit, softmax

    if head.ranked:
        own = np.eye(len(scores), dtype=bool)
        probabilities = softmax(scores)
        least = np.diag(softmax(np.where(own, low, high), axis=1))
        most = np.diag(softmax(np.where(own, high, low), axis=1))
    else:
        probabilities, least, most = expit(scores), expit(low), expit(high)
    probabilities, *limits = (head.class_probabilities(p[None])[0] for p in (probabilities, least, most))
    least, most = np.minimum(*limits), np.maximum(*limits)  # of the other class of two, the limits change places
    return AdaptivePrediction(probabilities, least, most, scores, low, high, int(count), REASONS[int(reason)])
