"""Keras' loops, with what they lack for models of uneven batches, changing attributes and errors from host callbacks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, overload

import keras
from keras import ops

from ats_mag.backend import on_jax
from ats_mag.slides.errors import plain_errors
from ats_mag.tensors import Tensor

_Value = TypeVar("_Value")


class MendedModel(keras.Model):
    """A Keras model whose loops are mended.

    - The optimiser has its variables before the first step, which TensorFlow would trace twice otherwise.
    - Replicas of a distribution strategy may have shares of a batch that differ in size.
    - On JAX an error in a host callback is itself, not the text below a traceback through XLA's callbacks.
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

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`."""
        optimizer = getattr(self, "optimizer", None)
        if optimizer and not optimizer.built and getattr(self, "_distribute_strategy", None) is None:  # else Keras does
            optimizer.build(self.trainable_variables)
        with _readable_errors():
            history = super().fit(*args, **kwargs)
            ops.convert_to_numpy(
                self.optimizer.iterations
            )  # waits for JAX, whose errors come when results are looked at
        return history

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`."""
        with _readable_errors():
            found = super().evaluate(*args, **kwargs)
            ops.convert_to_numpy(self.metrics_variables[0])  # waits for JAX, as in `fit`
            return found

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`."""
        with _readable_errors():
            return super().predict(*args, **kwargs)

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


def _readable_errors() -> contextlib.AbstractContextManager[None]:
    return plain_errors() if on_jax() else contextlib.nullcontext()
