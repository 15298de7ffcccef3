"""Progress of training on the terminal."""

from __future__ import annotations

import datetime
import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ats_mag.model.attention_words import MASS, SPREAD, in_words, masses_of
from ats_mag.tensors import Logs

_UPDATE_SECONDS = 0.5  # metrics are fetched from the device no more often
_LINE_SECONDS = 60.0  # without a terminal a long epoch is told of so often


class FitProgress(keras.callbacks.Callback):
    """Two lines per epoch, its metrics and where the attention is, and below them a bar over all batches with the time left.

    Where there is no terminal, long epochs have a line per minute instead of the bar. A resumed run says where it goes on, see
    `train_fold`.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def on_train_begin(self, logs: Logs = None) -> None:
        fold = self.params.get("fold")
        title = "Training" if fold is None else f"Training fold {fold}"
        if self.params.get("resumed"):
            self.console.print(
                f"{title}: resumed from the checkpoint at {self.params['resumed']}", highlight=False, markup=False
            )
        columns = (
            TextColumn(title),
            TextColumn("epoch {task.fields[epoch]}/" + str(self.params["epochs"])),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}", markup=False),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.progress.start()
        steps, done = self.params.get("steps"), self.params.get("done", 0)
        self.batches = steps or 1  # where their number is not known, an epoch is one step of the bar
        self.by_batch = steps is not None
        self.total, self.done_before = self.batches * self.params["epochs"], done
        epoch = done // self.batches + 1
        self.task = self.progress.add_task("", total=self.total, completed=done, epoch=epoch, loss="")
        self.epoch = epoch
        self.begun = self._line_at = time.monotonic()
        self._shown = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch + 1
        self.progress.update(self.task, epoch=self.epoch)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.by_batch:
            self.progress.update(self.task, advance=1)
        now = time.monotonic()
        if self.console.is_terminal:
            if logs and now - self._shown > _UPDATE_SECONDS:
                self._shown = now
                self.progress.update(self.task, loss=f"loss {float(logs['loss']):.4g}")
        elif self.by_batch and now - self._line_at > _LINE_SECONDS:
            self._print(f"batch {self._done() % self.batches}/{self.batches}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.progress.update(self.task, completed=(epoch + 1) * self.batches)
        logs = logs or {}
        numbers = {name: value for name, value in logs.items() if SPREAD not in logs or not _of_attention(name)}
        self._print("  ".join(f"{name} {_number(value)}" for name, value in numbers.items()))
        if SPREAD in logs:
            where = in_words(float(logs[SPREAD]), masses_of(logs))
            self.console.print(f"  attention {where}", highlight=False, soft_wrap=True, markup=False)

    def on_train_end(self, logs: Logs = None) -> None:
        self.progress.stop()

    def _print(self, what: str) -> None:
        """A line about the epoch, the numbers of all epochs below each other."""
        self._line_at = now = time.monotonic()
        epochs, done = self.params["epochs"], self._done()
        left = (now - self.begun) / max(done - self.done_before, 1) * (self.total - done)
        number = str(self.epoch).rjust(len(str(epochs)))
        passed = f"{_time(now - self.begun)} passed" + (f", {_time(left)} left" if done < self.total else "")
        self.console.print(f"epoch {number}/{epochs}: {what}  {passed}", highlight=False, soft_wrap=True, markup=False)

    def _done(self) -> int:
        return int(self.progress.tasks[0].completed)


def _of_attention(name: str) -> bool:
    """Whether a metric is told in words."""
    return name.removeprefix("val_").startswith(("attention_", MASS))


def _number(value: float) -> str:
    """Eight characters, of most values."""
    value = float(value)
    plain = value == 0 or 1e-3 <= abs(value) < 1e4 or value != value
    return (f"{value:.4f}" if plain else f"{value:.1e}").ljust(8)


def _time(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
