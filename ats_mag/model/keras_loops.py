"""Keras' loops, with what they lack for models of uneven batches, changing attributes and errors from host callbacks."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, overload

import keras
import numpy as np
from keras import ops

from ats_mag.backend import on_jax
from ats_mag.model.host_functions import function_of_hosts, over_hosts
from ats_mag.slides.errors import plain_errors
from ats_mag.tensors import Logs, Tensor

_Value = TypeVar("_Value")
_CALLBACKS = 5  # place of the callbacks among the arguments of `fit`
_ASSERTED = re.compile(r"assertion failed: \[([^\]]*)\]")


class MendedModel(keras.Model):
    """A Keras model whose loops are mended.

    - The optimiser has its variables before the first step, which TensorFlow would trace twice otherwise.
    - Replicas of a distribution strategy may have shares of a batch that differ in size, and be on several hosts.
    - On JAX an error in a host callback is itself, not the text below a traceback through XLA's callbacks.
    - Losses and predictions that are NaN or infinite are errors.
    - Steps may ask `call` for more than users do, see `step_options`.
    """

    def step_options(self) -> dict[str, Any]:
        """Further arguments of `call` in training and test steps. On TensorFlow subclasses write these steps themselves."""
        return {}

    def every_layer(self) -> list[keras.layers.Layer]:
        """All layers, at any depth. A method, as Keras would save the layers that a property gives under its name."""
        return list(self._flatten_layers(include_self=False))

    def trace_again(self) -> None:
        """Has Keras' functions, where there are any yet, traced anew when they are next called; also within `fit`."""
        for kind in ("train", "test", "predict"):
            if getattr(self, f"{kind}_function", None) is not None:
                getattr(self, f"make_{kind}_function")(force=True)

    def make_train_function(self, force: bool = False) -> None:
        if not self._over_hosts():
            super().make_train_function(force)
        elif force or getattr(self, "train_function", None) is None:
            self.train_function = function_of_hosts(self, self.train_step)

    def make_test_function(self, force: bool = False) -> None:
        if not self._over_hosts():
            super().make_test_function(force)
        elif force or getattr(self, "test_function", None) is None:
            self.test_function = function_of_hosts(self, self.test_step)

    def _over_hosts(self) -> bool:
        strategy = getattr(self, "_distribute_strategy", None)
        return strategy is not None and over_hosts(strategy)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`.

        Raises:
            RuntimeError: after an epoch whose loss is no number.
        """
        optimizer = getattr(self, "optimizer", None)
        if optimizer and not optimizer.built and getattr(self, "_distribute_strategy", None) is None:  # else Keras does
            optimizer.build(self.trainable_variables)
        if len(args) > _CALLBACKS:
            args = (*args[:_CALLBACKS], _with_check(args[_CALLBACKS]), *args[_CALLBACKS + 1 :])
        else:
            kwargs["callbacks"] = _with_check(kwargs.get("callbacks"))
        with _readable_errors():
            history = super().fit(*args, **kwargs)
            ops.convert_to_numpy(
                self.optimizer.iterations
            )  # waits for JAX, whose errors come when results are looked at
        return history

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`.

        Raises:
            RuntimeError: the loss is no number.
        """
        within_fit = kwargs.get("_use_cached_eval_dataset", False)
        with _readable_errors():
            found = super().evaluate(*args, **kwargs)
            ops.convert_to_numpy(self.metrics_variables[0])  # waits for JAX, as in `fit`
        if not within_fit:  # which looks at the losses itself
            self.check_losses()
        return found

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`.

        Raises:
            RuntimeError: an output is no number.
        """
        with _readable_errors():
            return self.finite(super().predict(*args, **kwargs))

    def finite(self, outputs: Any, of: str = "") -> np.ndarray:
        """The outputs of a batch as an array, if all of them are numbers.

        Args:
            outputs: `(B, ...)`.
            of: whose they are, for the message.

        Raises:
            RuntimeError: there is NaN or infinity among them.
        """
        outputs = ops.convert_to_numpy(outputs)
        bad = ~np.isfinite(outputs).all(axis=tuple(range(1, np.ndim(outputs))))
        if bad.any():
            where = of or f"of {int(bad.sum())} of {len(bad)} slides, the first of number {int(np.argmax(bad))}"
            raise RuntimeError(f"the model gives NaN or infinite probabilities {where}: {self._why_no_number()}")
        return outputs

    def check_losses(self, logs: Logs = None) -> None:
        """Refuses a loss that is no number.

        Args:
            logs: of an epoch. None: what the metrics hold.

        Raises:
            RuntimeError: it is not.
        """
        if logs is None:
            logs = {metric.name: metric.result() for metric in self.metrics if metric.name == "loss"}
        for name in ("loss", "val_loss"):
            value = float(ops.convert_to_numpy(logs.get(name, 0.0)))
            if not np.isfinite(value):
                raise RuntimeError(f"{name} is {value}: {self._why_no_number()}")

    def check_weights(self) -> None:
        """Refuses weights that are no numbers.

        Raises:
            RuntimeError: the first of them, by name.
        """
        for variable in self.weights:
            if "float" in str(variable.dtype) and not ops.convert_to_numpy(ops.all(ops.isfinite(variable))):
                raise RuntimeError(
                    f"the weight {variable.path!r} is not finite, as training has diverged: train again with a lower learning "
                    "rate or clipped gradients"
                )

    def _why_no_number(self) -> str:
        try:
            self.check_weights()
        except RuntimeError as error:
            return str(error)
        return "all weights are finite, so what is computed from them overflows: lower the learning rate, or compute in float32"

    def save(self, filepath: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.save`, into `.keras` files only.

        Raises:
            ValueError: of HDF5, in which Keras cannot find such a model again.
        """
        if os.fspath(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"a {type(self).__name__} is saved as a `.keras` file; HDF5 keeps its weights alone (`save_weights`, "
                f"NAME.weights.h5). Received: {os.fspath(filepath)!r}"
            )
        super().save(filepath, *args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss_and_updates(
        self,
        trainable_variables: list[Tensor],
        non_trainable_variables: list[Tensor],
        metrics_variables: list[Tensor],
        x: Any,
        y: Any,
        sample_weight: Any,
        training: bool = False,
        optimizer_variables: list[Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """As Keras' on JAX, the only backend that has it, but for the `step_options`."""
        y_pred, non_trainable_variables, losses = self.stateless_call(
            trainable_variables,
            non_trainable_variables,
            x,
            return_losses=True,
            training=training,
            **self.step_options(),
        )
        self._losses_override = list(losses)  # as Keras does, so that `compute_loss` finds what the call added
        try:
            loss, variables = self.stateless_compute_loss(
                trainable_variables,
                non_trainable_variables,
                metrics_variables,
                x=x,
                y=y,
                y_pred=y_pred,
                sample_weight=sample_weight,
                training=training,
            )
        finally:
            self._losses_override = []
        _, non_trainable_variables, metrics_variables = variables
        unscaled = loss
        if training and self.optimizer is not None:
            mapping = list(zip(self.optimizer.variables, optimizer_variables or [], strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                loss = self.optimizer.scale_loss(loss)
        return loss, (unscaled, y_pred, non_trainable_variables, metrics_variables)

    def _maybe_symbolic_build(self, iterator: Iterator[Any] | None = None, data_batch: Any = None) -> None:
        """As Keras', under a distribution strategy; it averages the replicas' shares of a batch, which may differ in size."""
        if iterator is not None and self._distribute_strategy is not None:
            local = self._distribute_strategy.experimental_local_results
            for *_, batches in iterator:
                data_batch = keras.tree.map_structure(lambda share: local(share)[0], next(batches))
                break
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)


class Traced(Generic[_Value]):
    """An attribute that traced functions were built with: to set it has them traced anew."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    @overload
    def __get__(self, model: None, owner: type) -> Traced[_Value]: ...

    @overload
    def __get__(self, model: MendedModel, owner: type) -> _Value: ...

    def __get__(self, model: MendedModel | None, owner: type) -> Traced[_Value] | _Value:
        return self if model is None else getattr(model, self.name)

    def __set__(self, model: MendedModel, value: _Value) -> None:
        setattr(model, self.name, value)
        model.trace_again()


class _CheckLosses(keras.callbacks.Callback):
    """Ends a training whose loss is no number."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.model.check_losses(logs or {})


def _with_check(callbacks: Any) -> Any:
    """The callbacks of `fit`, and the check of the losses behind them."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(_CheckLosses())
        return callbacks
    return [*([callbacks] if isinstance(callbacks, keras.callbacks.Callback) else callbacks or ()), _CheckLosses()]


def _readable_errors() -> contextlib.AbstractContextManager[None]:
    return plain_errors() if on_jax() else _asserted_errors()


@contextlib.contextmanager
def _asserted_errors() -> Iterator[None]:
    """Within it, a failed assertion of a TensorFlow graph is a ValueError of its own text."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _ASSERTED.search(error.message)
        if found is None:
            raise
        raise ValueError(found[1]) from None
