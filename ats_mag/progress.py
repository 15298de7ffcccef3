"""Progress of training on the terminal."""

from __future__ import annotations

from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class FitProgress(keras.callbacks.Callback):
    """A bar over the epochs with the latest metrics; on a dumb terminal, one line per tenth of the run.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def on_train_begin(self, logs: Any = None) -> None:
        columns = (
            TextColumn("Training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.progress.start()
        self.task = self.progress.add_task("", total=self.params["epochs"], metrics="")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        metrics = " ".join(f"{name} {value:.3g}" for name, value in (logs or {}).items())
        self.progress.update(self.task, advance=1, metrics=metrics)
        epochs = self.params["epochs"]
        if not self.console.is_terminal and ((epoch + 1) * 10 // epochs > epoch * 10 // epochs):
            self.console.print(f"epoch {epoch + 1}/{epochs}: {metrics}", highlight=False, soft_wrap=True)

    def on_train_end(self, logs: Any = None) -> None:
        self.progress.stop()
