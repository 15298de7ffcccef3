"""Keras' loops around a model that reads slides."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from ats_mag.geometry.lattice import Lattice
from ats_mag.model.arguments import choice
from ats_mag.model.auxiliary import auxiliary_loss
from ats_mag.model.trace import Trace
from ats_mag.model.training_step import counted_test_step, mean_loss, overlapped_step, parts_of, replicas
from ats_mag.slides.errors import plain_errors


class Traced:
    """An attribute that traced functions were built with: to set it has them traced anew."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        return self if model is None else getattr(model, self.name)

    def __set__(self, model: Any, value: Any) -> None:
        setattr(model, self.name, value)
        model.trace_again()


class SlideModel(keras.Model):
    """Training, evaluating and predicting, with errors in plain words and uneven shares of a batch.

    Attributes:
        step: a variable, the training steps so far.
        explore_steps: how many of them draw patches uniformly.
        head_kind: see `heads`.
        auxiliary: weight of the losses per magnification.
        reader: the layer that reads patches.
        entropy_metric, mass_metrics, unreadable_metric: of the attention, and of patches (None: not counted).
        lattice: of the patches.
        test_n_patches: N at test.
    """

    step: Any
    explore_steps: int
    head_kind: str
    auxiliary: float
    reader: Any
    entropy_metric: keras.metrics.Metric
    lattice: Lattice
    test_n_patches: int
    mass_metrics: list[keras.metrics.Metric]
    unreadable_metric: keras.metrics.Metric | None
    _trace: Trace

    @property
    def overview_multiple(self) -> int:
        """Overview pixels of whose multiples a slide that is predicted alone is made.

        So there are few shapes, and the smallest slide's lattice holds all draws: on each side their root, rounded up.
        """
        stride = self.lattice.stride
        multiple = max(64, stride)
        return multiple * -(-stride * (math.isqrt(self.test_n_patches - 1) + 1) // multiple)

    @property
    def on_error(self) -> str:
        """What becomes of unreadable patches."""
        return self.reader.on_error

    @on_error.setter
    def on_error(self, on_error: str) -> None:
        self.reader.on_error = choice("on_error", on_error, ("raise", "fill"))
        self.trace_again()

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """As `keras.Model.compute_loss`, of the latest call; updates the metrics of its attention."""
        observed, auxiliary, readable = self._trace.take()
        if observed:
            self._observe(observed)
        if readable is not None:  # a slide of which nothing was read says nothing about its label
            share = ops.mean(readable) if mean_loss(self) else 1.0  # Keras divides by all slides
            sample_weight = _times(readable / ops.where(share > 0, share, 1.0), sample_weight)
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if auxiliary:
            binary = self.head_kind == "binary"
            loss = loss + self.auxiliary * auxiliary_loss(self.loss, binary, y, auxiliary, sample_weight)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """As `keras.Model.compute_metrics`, without slides of which nothing was read; binary labels may be `(B,)`."""
        counted = self._trace.take_counted()
        sample_weight = sample_weight if counted is None else _times(counted, sample_weight)
        y = ops.reshape(y, (-1, 1)) if self.head_kind == "binary" else y
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def train_step(self, *state_and_data: Any) -> Any:
        parts = parts_of(self)
        if parts > 1 or replicas() > 1 or self._counts_readable():
            return overlapped_step(self, state_and_data[-1], parts)
        return super().train_step(*state_and_data)

    def test_step(self, *state_and_data: Any) -> Any:
        if self._counts_readable():
            return counted_test_step(self, state_and_data[-1])
        return super().test_step(*state_and_data)

    def predict_step(self, *state_and_data: Any) -> Any:
        outputs = super().predict_step(*state_and_data)
        self._trace.clear()
        return outputs

    def _counts_readable(self) -> bool:
        """Whether a batch counts in the mean loss by its readable slides; on JAX, by all of its slides."""
        return self.on_error == "fill" and keras.backend.backend() == "tensorflow"

    def _observe(self, observed: Mapping[str, Any]) -> None:
        """Updates the metrics of the attention."""
        self.entropy_metric.update_state(observed["entropy"])
        for m, metric in enumerate(self.mass_metrics):
            metric.update_state(observed["mass"][:, m])
        if self.unreadable_metric is not None and "unreadable" in observed:
            self.unreadable_metric.update_state(observed["unreadable"])

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; warns where training ended before `explore_steps`, when no attention was learnt yet."""
        self._build_optimizer()
        with _readable_errors():
            history = super().fit(*args, **kwargs)
            ops.convert_to_numpy(self.step)  # waits for JAX, whose errors come when results are looked at
        self.warn_unlearnt()
        return history

    def _build_optimizer(self) -> None:
        """Makes the optimiser's variables. Made within the first step, they would have TensorFlow trace it twice."""
        optimizer = getattr(self, "optimizer", None)
        if optimizer and not optimizer.built and getattr(self, "_distribute_strategy", None) is None:  # else Keras does
            optimizer.build(self.trainable_variables)

    @property
    def explored(self) -> bool:
        """Whether training has gone beyond the steps that draw patches uniformly."""
        return not self.explore_steps or int(ops.convert_to_numpy(self.step)) > self.explore_steps

    def warn_unlearnt(self) -> None:
        """Warns where all training so far drew patches uniformly."""
        if not self.explored:
            steps = int(ops.convert_to_numpy(self.step))
            warnings.warn(
                f"training ended after {steps} steps, all of which drew patches uniformly (explore_steps="
                f"{self.explore_steps}): no attention was learnt. Train longer, or lower explore_steps",
                stacklevel=3,
            )

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`."""
        with _readable_errors():
            found = super().evaluate(*args, **kwargs)
            ops.convert_to_numpy(self.entropy_metric.result())  # waits for JAX, as in `fit`
            return found

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`."""
        with _readable_errors():
            return super().predict(*args, **kwargs)

    def trace_again(self) -> None:
        """Has Keras' functions, where there are any yet, traced anew when they are next called; also within `fit`."""
        for kind in ("train", "test", "predict"):
            if getattr(self, f"{kind}_function", None) is not None:
                getattr(self, f"make_{kind}_function")(force=True)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """As Keras', under a distribution strategy; it averages the replicas' shares of a batch, which may differ in size."""
        if iterator is not None and self._distribute_strategy is not None:
            local = self._distribute_strategy.experimental_local_results
            for *_, batches in iterator:
                data_batch = keras.tree.map_structure(lambda share: local(share)[0], next(batches))
                break
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)


def _times(weight: Any, sample_weight: Any) -> Any:
    """Weights of the slides beside those that the user may have given."""
    return weight if sample_weight is None else weight * ops.cast(sample_weight, "float32")


def _readable_errors() -> contextlib.AbstractContextManager[None]:
    """On JAX, an error while slides are read is itself, not the text below a traceback through XLA's callbacks."""
    return plain_errors() if keras.backend.backend() == "jax" else contextlib.nullcontext()
