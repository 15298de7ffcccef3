"""Several calls of `fit` that callbacks take for one."""

from __future__ import annotations

from typing import Any

import keras

from ats_mag.tensors import Logs


class OneTraining(keras.callbacks.CallbackList):
    """A list of callbacks whose training begins with `begin()` and ends with `end()`, however often `fit` is called.

    Batches of a resumed epoch are those that are left of it, and need a `fit` of their own.

    Args:
        callbacks: Keras callbacks.
        params: of the callbacks, and `model`.
    """

    def __init__(self, callbacks: list[keras.callbacks.Callback], **params: Any) -> None:
        super().__init__(callbacks, add_history=True, **params)

    def begin(self) -> None:
        """Tells every callback that training begins."""
        super().on_train_begin()

    def end(self) -> None:
        """Tells every callback that training ends."""
        super().on_train_end()

    def on_train_begin(self, logs: Logs = None) -> None:
        """Nothing: see `begin`."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Nothing: see `end`."""
