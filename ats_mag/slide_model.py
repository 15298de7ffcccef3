"""Keras' loops around a model that reads slides."""

from __future__ import annotations

import contextlib
import math
import warnings
from typing import Any

import keras
from keras import ops

from ats_mag.lattice import Lattice
from ats_mag.slides.errors import plain_errors


class SlideModel(keras.Model):
    """Training, evaluating and predicting, with errors in plain words and uneven shares of a batch.

    Attributes:
        step: a variable, the training steps so far.
        explore_steps: how many of them draw patches uniformly.
        entropy_metric: of the attention.
        lattice: of the patches.
        test_n_patches: N at test.
    """

    step: Any
    explore_steps: int
    entropy_metric: keras.metrics.Metric
    lattice: Lattice
    test_n_patches: int

    @property
    def overview_multiple(self) -> int:
        """Overview pixels of whose multiples a slide that is predicted alone is made.

        So there are few shapes, and the smallest slide's lattice holds all draws: on each side their root, rounded up.
        """
        stride = self.lattice.stride
        multiple = max(64, stride)
        return multiple * -(-stride * (math.isqrt(self.test_n_patches - 1) + 1) // multiple)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; warns where training ended before `explore_steps`, when no attention was learnt yet."""
        with _readable_errors():
            history = super().fit(*args, **kwargs)
            ops.convert_to_numpy(self.step)  # waits for JAX, whose errors come when results are looked at
        self.warn_unlearnt()
        return history

    def warn_unlearnt(self) -> None:
        """Warns where all training so far drew patches uniformly."""
        steps = int(ops.convert_to_numpy(self.step))
        if self.explore_steps and steps <= self.explore_steps:
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


def _readable_errors() -> contextlib.AbstractContextManager[None]:
    """On JAX, an error while slides are read is itself, not the text below a traceback through XLA's callbacks."""
    return plain_errors() if keras.backend.backend() == "jax" else contextlib.nullcontext()
