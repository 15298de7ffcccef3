"""Progress of training on the terminal."""

from __future__ import annotations

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ats_mag.tensors import Logs

_UPDATE_SECONDS = 0.5  # metrics are fetched from the device no more often


class FitProgress(keras.callbacks.Callback):
    """A bar over all batches with the epoch, the latest metrics and the time left.

    On a dumb terminal, one line per tenth of the run instead. A resumed run says where it goes on, see `train_fold`.

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
            TextColumn("{task.fields[metrics]}", markup=False),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.progress.start()
        steps, done = self.params.get("steps"), self.params.get("done", 0)
        self.batches = steps or 1  # where their number is not known, an epoch is one step of the bar
        self.by_batch = steps is not None
        total = self.batches * self.params["epochs"]
        self.task = self.progress.add_task("", total=total, completed=done, epoch=done // self.batches + 1, metrics="")
        self._shown = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.progress.update(self.task, epoch=epoch + 1)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.by_batch:
            self.progress.update(self.task, advance=1)
        if self.console.is_terminal and logs and time.monotonic() - self._shown > _UPDATE_SECONDS:
            self._shown = time.monotonic()
            self.progress.update(self.task, metrics=f"loss {float(logs['loss']):.3g}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        metrics = " ".join(f"{name} {value:.3g}" for name, value in (logs or {}).items())
        self.progress.update(self.task, completed=(epoch + 1) * self.batches, metrics=metrics)
        epochs = self.params["epochs"]
        if not self.console.is_terminal and ((epoch + 1) * 10 // epochs > epoch * 10 // epochs):
            self.console.print(f"epoch {epoch + 1}/{epochs}: {metrics}", highlight=False, soft_wrap=True, markup=False)

    def on_train_end(self, logs: Logs = None) -> None:
        self.progress.stop()
