"""Predicting one slide, in whatever process; each loads the model once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ats_mag
from ats_mag.cohort.find_slides import CohortSlide
from ats_mag.prediction.model_identity import ModelIdentity, models_fingerprint
from ats_mag.system.open_files import TooManyOpenFiles, once_more

if TYPE_CHECKING:
    from ats_mag.prediction.predictor import Predictor


@dataclass(frozen=True)
class Task:
    """One slide for one model.

    Attributes:
        slide: as it was named.
        path: of its file, absolute, as workers stand elsewhere.
        mask: of its tissue, absolute, or None.
        identity: of the model, and how it is asked.
    """

    slide: CohortSlide
    path: str
    identity: ModelIdentity
    mask: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came of it: the columns of its row, or why there are none."""

    columns: dict[str, Any] | None = None
    error: str | None = None


def predict_slide(task: Task) -> Answer:
    """Predicts one slide; what is wrong with the slide comes back as a value.

    Raises:
        RuntimeError: the model cannot be used here, or this is another version of the package than the one that asks.
        TooManyOpenFiles: no more files can be opened, which is no fault of the slide.
    """
    from ats_mag.slides.numpy_reader import close_idle

    with _alone:  # a model is one program; threads of a Dask worker take turns
        predictor = load(task.identity)
        try:
            predicted = once_more(lambda: predictor.predict(task.path, task.slide.mpp, task.mask), close_idle)
            return Answer(predicted.columns())
        except TooManyOpenFiles:
            raise
        except Exception as error:  # whatever a broken slide brings about must cost that slide only
            text = str(error) or type(error).__name__
            if not isinstance(error, OSError | ValueError | RuntimeError | MemoryError):
                text = f"{type(error).__name__}: {text}"
            return Answer(error=" ".join(text.split()))


_alone = threading.Lock()
_kept: list[tuple[dict[str, Any], Predictor]] = []


def load(identity: ModelIdentity) -> Predictor:
    """The predictor of a model asked in one way; the last one is kept.

    Raises:
        ValueError: it is no model of ours.
        ImportError: a module that its layers need cannot be imported.
        RuntimeError: the model cannot be read, is another one here, or this is another version of the package.
    """
    for card, predictor in _kept:
        if card == identity.card():
            return predictor
    if identity.version != ats_mag.__version__:
        raise RuntimeError(
            f"this process has ats_mag {ats_mag.__version__}, the one that asks for predictions has {identity.version}: "
            "install the same version on all machines"
        )
    from ats_mag.prediction.predictor import Predictor

    if identity.modules:
        from ats_mag.model.user_modules import import_modules

        import_modules(identity.modules)
    try:
        fingerprint = models_fingerprint(identity.models)
        predictor = Predictor(identity.models[0] if len(identity.models) == 1 else identity.models, **identity.options)
    except OSError as error:  # not to be taken for a lost connection
        raise RuntimeError(f"the model cannot be loaded: {error}") from error
    if fingerprint != identity.fingerprint:
        raise RuntimeError(
            f"{', '.join(map(repr, identity.models))} is another model here than where predictions are asked for, or was replaced meanwhile: "
            "bring the same one to all machines"
        )
    _kept[:] = [(identity.card(), predictor)]
    return predictor
