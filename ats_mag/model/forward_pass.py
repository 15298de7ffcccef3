"""What a forward pass found, and what a training step tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ats_mag.tensors import Patches, Probabilities, ReadablePatches, Tensor


class ForwardPass(NamedTuple):
    """One pass of B slides: the prediction, and what losses and metrics need besides.

    Attributes:
        probabilities: `(B, C)` float32; `(B, 1)` of a binary head.
        entropy: `(B,)` float32, of each slide's attention, in nats.
        spread: `(B,)` float32, over what share of a slide's cells its attention lies, see `attention_state.spread_of`.
        mass: `(B, M)` float32, the attention's mass at each magnification.
        patches: `(B,)` float32, how many patches were read that count in the prediction.
        readable: `(B,)` float32, 0 for slides of which nothing could be read, else 1. None: reading raises, all were read.
        unreadable: `(B,)` float32, how many patches could not be read. None: as above.
        auxiliary: probabilities from each magnification alone, M times `(B, C)`; empty where no loss needs them.
        counted: `(B,)` float32, 0 for slides that only fill a device, see `records.shares`, else 1. None: all count.
    """

    probabilities: Probabilities
    entropy: Tensor
    spread: Tensor
    mass: Tensor
    patches: Tensor
    readable: Tensor | None = None
    unreadable: Tensor | None = None
    auxiliary: tuple[Probabilities, ...] = ()
    counted: Tensor | None = None


class ReadingTurns:
    """Has the reads of one traced step come one after the other; computing need not wait for them."""

    def __init__(self) -> None:
        self._before: list[Patches] = []

    def take(self, read: Callable[[], tuple[Patches, ReadablePatches]]) -> tuple[Patches, ReadablePatches]:
        """What `read()` returns, read after all that took a turn before. On TensorFlow only."""
        import tensorflow as tf

        with tf.control_dependencies(self._before):
            patches, valid = read()
        self._before = [patches]
        return patches, valid


@dataclass(frozen=True)
class StepPart:
    """Says to a forward pass that a step of Keras' loops calls it, and for which part of the batch.

    Attributes:
        last: whether the pass is the last, or only, one of its step.
        turns: what its reads have to wait for. None: nothing.
    """

    last: bool = True
    turns: ReadingTurns | None = field(default=None, repr=False)


WHOLE = StepPart()
