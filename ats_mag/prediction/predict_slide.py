"""Predicting one slide, in whatever process; each loads the model once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ats_mag
from ats_mag.prediction.find_slides import CohortSlide
from ats_mag.prediction.model_identity import Source, model_fingerprint

if TYPE_CHECKING:
    from ats_mag.prediction.predictor import Predictor


@dataclass(frozen=True)
class Task:
    """One slide for one model.

    Attributes:
        slide: as it was named.
        path: of its file, absolute, as workers stand elsewhere.
        source: the model.
    """

    slide: CohortSlide
    path: str
    source: Source


@dataclass(frozen=True)
class Answer:
    """What came of it: the columns of its row, or why there are none."""

    columns: dict[str, Any] | None = None
    error: str | None = None


def predict_slide(task: Task) -> Answer:
    """Predicts one slide; what is wrong with the slide comes back as a value.

    Raises:
        RuntimeError: the model cannot be used here, or this is another version of the package than the one that asks.
    """
    with _alone:  # a model is one program; threads of a Dask worker take turns
        predictor = load(task.source)
        try:
            return Answer(predictor.predict(task.path, task.slide.mpp).columns())
        except Exception as error:  # whatever a broken slide brings about must cost that slide only
            text = str(error) or type(error).__name__
            if not isinstance(error, OSError | ValueError | RuntimeError | MemoryError):
                text = f"{type(error).__name__}: {text}"
            return Answer(error=" ".join(text.split()))


_alone = threading.Lock()
_kept: list[tuple[dict[str, Any], Predictor]] = []


def load(source: Source) -> Predictor:
    """The predictor of a source; the last one is kept.

    Raises:
        ValueError: it is no model of ours.
        RuntimeError: the model cannot be read, is another one here, or this is another version of the package.
    """
    for card, predictor in _kept:
        if card == source.card():
            return predictor
    if source.version != ats_mag.__version__:
        raise RuntimeError(
            f"this process has ats_mag {ats_mag.__version__}, the one that asks for predictions has {source.version}: "
            "install the same version on all machines"
        )
    from ats_mag.prediction.predictor import Predictor

    try:
        fingerprint = model_fingerprint(source.model)
        predictor = Predictor(source.model, **source.options)
    except OSError as error:  # not to be taken for a lost connection
        raise RuntimeError(f"the model cannot be loaded: {error}") from error
    if fingerprint != source.fingerprint:
        raise RuntimeError(
            f"{source.model!r} is another model here than where predictions are asked for, or was replaced meanwhile: "
            "bring the same one to all machines"
        )
    _kept[:] = [(source.card(), predictor)]
    return predictor
