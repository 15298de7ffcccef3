"""The best epoch of a run, and when to stop waiting for a better one."""

from __future__ import annotations

import math
from typing import Any

_HIGHER_IS_BETTER = ("accuracy", "auc")


class BestEpoch:
    """Follows a metric over the epochs.

    Args:
        monitor: name of the metric; accuracies and areas under curves are better when higher, all others when lower.
        patience: epochs without a better value after which to stop. None: never.

    Attributes:
        value: the best so far; None before the first.
        epoch: in which it was.
        waited: epochs since.
    """

    def __init__(self, monitor: str, patience: int | None = None) -> None:
        self.monitor, self.patience = monitor, patience
        self.value: float | None = None
        self.epoch = self.waited = 0

    def better(self, epoch: int, logs: dict[str, float]) -> bool:
        """Whether an epoch is the best so far; remembers it then."""
        found = logs[self.monitor]
        sign = -1 if self.monitor.endswith(_HIGHER_IS_BETTER) else 1
        if math.isnan(found) or (self.value is not None and sign * found >= sign * self.value):
            self.waited += 1
            return False
        self.value, self.epoch, self.waited = found, epoch, 0
        return True

    @property
    def ended(self) -> bool:
        """Whether it is time to stop."""
        return self.patience is not None and self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """As plain values, for `restore`."""
        return {"value": self.value, "epoch": self.epoch, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.value, self.epoch, self.waited = state["value"], state["epoch"], state["waited"]
