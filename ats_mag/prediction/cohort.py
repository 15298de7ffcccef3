"""Predicting a cohort: rows that stand are kept, the rest is handed out, and each row is written as it comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ats_mag.cohort.find_slides import CohortSlide
from ats_mag.cohort.fingerprints import fingerprint
from ats_mag.prediction.failures import FailureTable
from ats_mag.prediction.model_identity import ModelIdentity, Models
from ats_mag.prediction.predict_slide import Answer, Task, load, predict_slide
from ats_mag.prediction.predictor import no_masks
from ats_mag.prediction.table import CONTENT, MASK, PredictionTable
from ats_mag.system.atomic_files import digest
from ats_mag.system.dask_cluster import check_address

_Run = Callable[[Sequence[Task]], Iterator[tuple[Task, Answer]]]


@dataclass(frozen=True)
class Predicted:
    """What became of one slide.

    Attributes:
        slide: the slide.
        status: `predicted`, `kept` (its row was there) or `failed`.
        columns: what `SlidePrediction.columns` gives; None where kept or failed.
        error: why it failed, else None.
    """

    slide: CohortSlide
    status: str
    columns: dict[str, Any] | None = None
    error: str | None = None


def predict_cohort(
    model: Models,
    slides: Sequence[CohortSlide],
    out: str | os.PathLike[str] | None = None,
    scheduler: str | None = None,
    modules: Sequence[str] = (),
    **options: Any,
) -> Iterator[Predicted]:
    """Predicts slides one by one, and yields what became of each as it is done.

    With `out`, each slide is a row of that CSV, on the disk before the slide is yielded: `path` (absolute), `slide_id`, `mpp`
    (um/px of level 0 that was given; empty: the file's own), the columns of `SlidePrediction`, and `slide_sha256` and
    `tissue_mask_sha256`, by which files that were replaced are known. A slide that has a row
    is kept as it is, so a run that was interrupted, however roughly, is finished by the same call; slides may be added.
    Slides that fail cost the others nothing: they stand in `NAME.csv.failed.csv` with the reason, and are tried again by the
    next call. `NAME.csv.model.json` says which model the rows are of.

    Memory does not grow with the number of slides.

    Args:
        model: a `.keras` file or the folder of an exported SavedModel; or several, as of the folds of a run, whose probabilities
            are averaged.
        slides: see `find_slides`.
        out: the CSV; None: nothing is written.
        scheduler: address of a Dask scheduler that the work goes to, instead of this process. Its workers must see slides
            and model under the same paths, and load the model once each.
        modules: that define layers of the user's own which the model holds; see `import_modules`. Workers must have them, too.
        options: further arguments of `Predictor`; None: its defaults.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: `out` holds rows of another model, or a slide's that was replaced or had another um/px; the model is none, or
            exported and asked to use tissue masks; the address is none.
        RuntimeError: another process writes to `out`, or the Dask workers cannot do this work.
        ConnectionError: no Dask scheduler answers, or it was lost.
        ImportError: Dask is not installed.
    """
    if scheduler is not None:
        check_address(scheduler)  # also where nothing is left to do
    asked = {name: value for name, value in options.items() if value is not None}
    identity = ModelIdentity.of(model, asked, tuple(modules))
    for slide in slides:
        for path in identity.models:
            if slide.tissue_mask is not None and os.path.isdir(path):
                raise ValueError(no_masks(path, slide.tissue_mask))
    return _predict_all(identity, slides, None if out is None else Path(out), scheduler)


def _predict_all(
    identity: ModelIdentity, slides: Sequence[CohortSlide], out: Path | None, scheduler: str | None
) -> Iterator[Predicted]:
    with ExitStack() as stack:
        run: _Run | None = None
        if out is None or not out.exists():  # what cannot begin leaves no file
            run = _start(identity, scheduler, stack)
        table, failures = None, None
        if out is not None:
            table = stack.enter_context(PredictionTable(out, identity.card()))
            failures = FailureTable(out)
        todo = []
        for slide in slides:
            if table is not None and _stands(slide, table):
                yield Predicted(slide, "kept")
            else:
                mask = None if slide.tissue_mask is None else os.path.abspath(slide.tissue_mask)
                todo.append(Task(slide, os.path.abspath(slide.path), identity, mask))
        if not todo:
            return
        for task, answer in (run or _start(identity, scheduler, stack))(todo):
            if answer.columns is None:
                if failures is not None:
                    failures.put(task.path, task.slide, answer.error or "")
                yield Predicted(task.slide, "failed", error=answer.error)
                continue
            if table is not None and failures is not None:
                slide = task.slide
                about = {"path": task.path, "slide_id": slide.slide_id, "mpp": slide.mpp}
                of_files = {CONTENT: fingerprint(task.path).get("sha256"), MASK: _digest_of(task.mask)}
                table.append({**about, **answer.columns, **of_files})
                failures.drop(task.path)
            yield Predicted(task.slide, "predicted", answer.columns)


def _stands(slide: CohortSlide, table: PredictionTable) -> bool:
    path = os.path.abspath(slide.path)
    if path not in table.rows:
        return False
    before, now = table.rows[path], "" if slide.mpp is None else repr(float(slide.mpp))
    if before != now:
        was, asked = (value or "the file's own" for value in (before, now))
        raise ValueError(
            f"{str(table.path)!r} has a row of slide {path!r} that was predicted with {was} um/px of level 0, not with {asked}: "
            "choose another file, or remove that row"
        )
    content = table.contents.get(path)
    if (
        content and fingerprint(path).get("sha256", content) != content
    ):  # one that cannot be read now may be what it was
        raise ValueError(
            f"{str(table.path)!r} has a row of slide {path!r}, whose file has been replaced since: choose another file, or remove "
            "that row"
        )
    if table.masks.get(path, "") != _digest_of(slide.tissue_mask):
        raise ValueError(
            f"{str(table.path)!r} has a row of slide {path!r} that was predicted with another tissue mask, or without one: choose another "
            "file, or remove that row"
        )
    return True


def _digest_of(mask: str | None) -> str:
    return "" if mask is None else digest(mask)


def _start(identity: ModelIdentity, scheduler: str | None, stack: ExitStack) -> _Run:
    """Loads the model here, or connects to those who will."""
    if scheduler is None:
        load(identity)
        return lambda tasks: ((task, predict_slide(task)) for task in tasks)
    from ats_mag.system.dask_cluster import connected, run_on_dask

    client = stack.enter_context(connected(scheduler))
    return lambda tasks: run_on_dask(client, predict_slide, tasks, None, lambda task: None, _died, "predict")


def _died(error: str) -> Answer:
    return Answer(error=error)
