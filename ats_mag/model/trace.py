"""What a forward pass hands on to its loss, and what a training step tells its forward passes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from keras import ops


class Trace(threading.local):
    """Notes of one thread, as each replica of a distribution strategy runs in a thread of its own.

    `call` cannot update metrics itself: JAX discards what it does to their variables, and keeps what `compute_loss` does.

    Attributes:
        observed: what the metrics of the attention are made from, by name: `(B, ...)` arrays.
        readable: `(B,)`, 0 for slides of which nothing could be read, else 1; None: all were read.
        counted: `readable` of the latest loss, for the metrics that follow it.
        auxiliary: the predictions from each magnification, M times `(B, C)`.
        last_part: whether the pass is the last, or only, one of its training step.
        turn: what the next read has to wait for; None: reads need not take turns.
    """

    def __init__(self) -> None:
        self.last_part = True
        self.turn: list[Any] | None = None
        self.clear()

    def clear(self) -> None:
        """Forgets what the last pass left: on JAX these arrays mean nothing outside their trace."""
        self.observed: dict[str, Any] = {}
        self.auxiliary: list[Any] = []
        self.readable: Any = None
        self.counted: Any = None

    def keep(self, count: Any) -> None:
        """Of `observed`, keeps the first `count` slides; the others count as unreadable."""
        self.observed = {name: values[:count] for name, values in self.observed.items()}
        if self.readable is not None:
            kept = ops.arange(ops.shape(self.readable)[0]) < count
            self.readable = ops.where(kept, self.readable, 0.0)

    def take(self) -> tuple[dict[str, Any], list[Any], Any]:
        """`observed`, `auxiliary` and `readable`, once; `readable` stays as `counted`."""
        taken = self.observed, self.auxiliary, self.readable
        self.clear()
        self.counted = taken[2]
        return taken

    def take_counted(self) -> Any:
        """`counted`, once."""
        counted, self.counted = self.counted, None
        return counted

    def in_turn(self, read: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
        """What `read()` returns, patches first, read after all that was read in turn before it."""
        if self.turn is None:
            return read()
        import tensorflow as tf

        with tf.control_dependencies(self.turn):
            patches, valid = read()
        self.turn = [patches]
        return patches, valid
