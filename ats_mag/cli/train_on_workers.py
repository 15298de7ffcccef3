"""Training folds at the workers of a cluster, and saying how far each is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from ats_mag.cli.console import console, errors, say, show_error

if TYPE_CHECKING:
    from ats_mag.runs.run import Run
    from ats_mag.training.many import FoldNews

_LINE_SECONDS = 60.0  # without a terminal, how often to say how far the folds are


def train_on_workers(run: Run, folds: list[int], scheduler: str) -> None:
    """Trains folds at the workers of a Dask cluster.

    Raises:
        typer.Exit: with status 1, after all folds were tried, where one failed.
    """
    from ats_mag.training.many import train_many

    failed = []
    with FoldBars(run, folds) as bars:
        for news in train_many([(run, fold) for fold in folds], scheduler, bars.look):
            _tell(news)
            bars.note(news)
            if news.status == "failed":
                failed.append(news)
    if failed:
        names = ", ".join(str(news.fold) for news in failed)
        show_error(
            f"{len(failed)} of {len(folds)} folds were not trained ({names}); mend what is named, and give the same command"
        )
        raise typer.Exit(1)


def _tell(news: FoldNews) -> None:
    """A line on each thing that happens."""
    from ats_mag.training.verdict import fold_verdict

    fold, layout = f"fold {news.fold}", news.run.layout
    for text in news.notes:
        show_error(f"{fold}: {text}", "note")
    if news.status == "kept":
        say(f"{fold} is trained already: {layout.fold(news.fold).model}")
    elif news.status == "begun":
        say(f"{fold}: at worker {news.worker}, see {layout.log(news.fold)}")
    elif news.status == "lost":
        show_error(
            f"{fold}: worker {news.worker} was lost ({news.why}); another goes on from the last checkpoint", "note"
        )
    elif news.status == "refused":
        show_error(f"{fold}: worker {news.worker} cannot train it and gets no more: {news.why}", "note")
    elif news.status == "failed":
        show_error(f"{fold}: {news.why}", "failed")
    else:
        say(f"wrote {layout.fold(news.fold).model}")
        for text in fold_verdict(news.run, news.fold):
            show_error(f"{fold}: {text}", "beware")


class FoldBars:
    """A bar over the epochs of each fold that is under way; where there is no terminal, a line per minute.

    Args:
        run: the run.
        folds: that are to be trained.
    """

    def __init__(self, run: Run, folds: list[int]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.run, self.folds = run, folds
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"))
        self.progress = Progress(
            *columns,
            console=errors,
            disable=not errors.is_terminal,
            transient=True,
            redirect_stdout=console.is_terminal,  # else what goes to a file would be shown instead
        )
        total = run.config.train.epochs
        self.tasks = {fold: self.progress.add_task(f"fold {fold}", total=total, visible=False) for fold in folds}
        self.ended: set[int] = set()
        self._line_at, self._line = time.monotonic(), ""

    def __enter__(self) -> FoldBars:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def note(self, news: FoldNews) -> None:
        """Takes up what has happened to a fold."""
        if news.status in ("kept", "trained", "failed"):
            self.ended.add(news.fold)
        self.progress.update(self.tasks[news.fold], visible=news.status == "begun")

    def look(self) -> None:
        """Reads how far the folds are."""
        from ats_mag.training.fold_states import fold_state

        now = time.monotonic()
        if not errors.is_terminal and now - self._line_at < _LINE_SECONDS:
            return
        self._line_at = now
        states = [fold_state(self.run, fold) for fold in self.folds if fold not in self.ended]
        for state in states:
            self.progress.update(self.tasks[state.fold], completed=state.epochs)
        line = ", ".join(
            f"fold {state.fold} {state.status} {state.epochs}/{self.run.config.train.epochs}" for state in states
        )
        if not errors.is_terminal and line != self._line:
            self._line = line
            errors.print(f"epochs: {line}", highlight=False, markup=False, soft_wrap=True)
