"""Where a training run stands, with everything that it needs to go on from there exactly."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import pandas as pd

from ats_mag.config.changes import changed_keys, default_of, value_at
from ats_mag.records.epoch_order import EpochOrder
from ats_mag.system.whole_file import write_whole
from ats_mag.training.bad_slides import BadSlides
from ats_mag.training.best_epoch import BestEpoch
from ats_mag.training.checkpoints import Checkpoints

_METRICS = "metrics-"


class Position(keras.callbacks.Callback):
    """Keeps the position of a run, writes checkpoints and the history, and says when training ends early.

    A checkpoint holds the model's variables (weights, seeds of the draws, steps, strengths), those of the optimiser
    (moments, accumulated gradients, loss scale) and of the metrics, the best epoch's weights, and the epoch and batch.
    The order of slides and their random changes follow from the seed and the position.

    Args:
        checkpoints: where they go.
        history: CSV of the logs of every epoch.
        order: of the slides.
        batches: of an epoch.
        minutes: after so many a checkpoint is written within an epoch.
        best: the metric that is followed; None: the last epoch counts.
        bad: unreadable slides; None: they raise.
        settings: of the run, kept with the checkpoint.

    Attributes:
        epoch, batch: that come next.
        ended: whether the run is complete.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        history: Any,
        order: EpochOrder,
        batches: int,
        minutes: float,
        best: BestEpoch | None,
        bad: BadSlides | None,
        settings: dict[str, Any],
    ) -> None:
        super().__init__()
        self.checkpoints, self.history_file, self.order, self.batches = checkpoints, history, order, batches
        self.minutes, self.best, self.bad, self.settings = minutes, best, bad, settings
        self.epoch = self.batch = 0
        self.ended = False
        self.rows: list[dict[str, Any]] = []
        self.best_weights: list[np.ndarray] = []
        self._metrics: dict[str, np.ndarray] = {}
        self._first = 0
        self._written = time.monotonic()

    def restore(self, model: Any) -> bool:
        """Brings the model to where the latest whole checkpoint was taken; False: there is none."""
        found = self.checkpoints.latest()
        if found is None:
            return False
        state, arrays = found
        check_settings(state["settings"], self.settings, str(self.checkpoints.folder.parent))
        for kind, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"{kind}-{i}"])
        self.best_weights = [arrays[f"best-{i}"] for i in range(state["best_weights"])]
        self._metrics = {name: value for name, value in arrays.items() if name.startswith(_METRICS)}
        self.epoch, self.batch, self.ended, self.rows = (state[k] for k in ("epoch", "batch", "ended", "rows"))
        if self.best is not None and state["best"] is not None:
            self.best.restore(state["best"])
        self._write_history()
        return True

    def write(self) -> None:
        """Writes a checkpoint."""
        kinds = {
            "model": self.model.variables,
            "optimizer": self.model.optimizer.variables,
            "best": self.best_weights,
        }
        arrays = {
            f"{kind}-{i}": np.asarray(keras.ops.convert_to_numpy(variable))
            for kind, variables in kinds.items()
            for i, variable in enumerate(variables)
        }
        arrays |= {name: keras.ops.convert_to_numpy(variable) for name, variable in self._metric_variables().items()}
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "ended": self.ended,
            "rows": self.rows,
            "best": None if self.best is None else self.best.state(),
            "best_weights": len(self.best_weights),
            "settings": self.settings,
        }
        self.checkpoints.write(self.epoch, self.batch, state, arrays)
        self._written = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.order.epoch = epoch
        self._first = self.batch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._first and self._metrics:  # the metrics of a resumed epoch go on
            for name, variable in self._metric_variables().items():
                if name in self._metrics:
                    variable.assign(self._metrics.pop(name))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._first and self._metrics:  # those that Keras built in the first step; they are sums
            for name, variable in self._metric_variables().items():
                if name in self._metrics:
                    variable.assign(keras.ops.convert_to_numpy(variable) + self._metrics.pop(name))
        self._metrics = {}
        self.batch = self._first + batch + 1
        if self.bad is not None:
            self.bad.check()
        if self.batch < self.batches and time.monotonic() - self._written > 60 * self.minutes:
            self.write()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.bad is not None:
            self.bad.check()
        values = {name: float(value) for name, value in (logs or {}).items()}
        if not np.isfinite(values["loss"]):
            raise RuntimeError(
                f"the loss is {values['loss']} in epoch {epoch + 1}: lower train.learning_rate, or set train.clip_norm, and "
                "train in another run folder"
            )
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.rows.append({"epoch": epoch, **values, "learning_rate": rate})
        if self.best is not None and self.model.explored:  # before, the attention has learnt nothing
            if self.best.better(epoch, values):
                self.best_weights = self.model.get_weights()
            self.ended = self.best.ended
        self.epoch, self.batch = epoch + 1, 0
        self.ended = self.ended or self.epoch >= self.params["epochs"]
        self.model.stop_training = self.model.stop_training or self.ended
        self._write_history()
        self.write()

    def _metric_variables(self) -> dict[str, Any]:
        """What the metrics count, by name."""
        return {f"{_METRICS}{m.name}-{i}": v for m in self.model.metrics for i, v in enumerate(m.variables)}

    def _write_history(self) -> None:
        if self.rows:
            write_whole(self.history_file, pd.DataFrame(self.rows).to_csv(index=False).encode())


def check_settings(before: dict[str, Any], now: dict[str, Any], folder: str) -> None:
    """Refuses to go on with a run under other settings.

    Raises:
        ValueError: a setting differs that changes the result.
    """
    changed = []
    for key, value in sorted(now.items()):
        then = before[key] if key in before else default_of(key)
        for name in changed_keys(then, value, key):
            inside = name[len(key) + 1 :]
            changed.append(f"{name}: {value_at(then, inside)!r} -> {value_at(value, inside)!r}")
    if changed:
        raise ValueError(
            f"{folder!r} holds a run that began with other settings ({'; '.join(changed)}): change them back, or choose "
            "another run folder, or remove this one to begin anew"
        )
