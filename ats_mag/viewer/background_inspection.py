"""Having slides inspected by a model in the background, each once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ats_mag.pictures.inspected_slide import InspectedSlide
    from ats_mag.prediction import CohortSlide
    from ats_mag.viewer.overlay import Overlay

Inspect = Callable[["CohortSlide"], "InspectedSlide"]  # what a model saw


class BackgroundInspection:
    """What the model says of each slide, as soon as it is asked for and ready.

    One thread does all the work, so that the machine is not overrun; it loads the model when the first slide is asked
    for, because that takes longer than opening a slide.

    Args:
        slides: the slides.
        open_model: loads the model, and gives the function that inspects a slide with it.
    """

    def __init__(self, slides: Sequence[CohortSlide], open_model: Callable[[], Inspect]) -> None:
        self._slides = slides
        self._open_model = open_model
        self._asked: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._states: dict[int, str] = {}
        self._errors: dict[int, str] = {}
        self._overlays: dict[int, Overlay] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, slide: int) -> dict[str, Any]:
        """The state of a slide, after having its turn come if it was never asked for.

        Returns:
            `state`: `waiting`, `loading` (the model), `looking`, `failed` (with `error`) or `done` (with `Overlay.values`).
        """
        with self._lock:
            if slide not in self._states:
                self._states[slide] = "waiting"
                self._asked.put(slide)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="inspection", daemon=True)
                self._thread.start()
            state = self._states[slide]
        if state == "failed":
            return {"state": state, "error": self._errors[slide]}
        return {"state": state} | (self._overlays[slide].values if state == "done" else {})

    def overlay(self, slide: int) -> Overlay:
        """Of a slide that was looked at.

        Raises:
            LookupError: it was not, yet.
        """
        if slide not in self._overlays:
            raise LookupError(f"the model has not looked at slide {slide} yet")
        return self._overlays[slide]

    def _work(self) -> None:
        inspect: Inspect | None = None
        while True:
            slide = self._asked.get()
            try:
                if inspect is None:
                    self._states[slide] = "loading"
                    inspect = self._open_model()
                self._states[slide] = "looking"
                self._inspect(inspect, slide)
                self._states[slide] = "done"
            except Exception as error:  # whatever it is, the page says it and the next slide has its turn
                self._errors[slide] = str(error) or type(error).__name__
                self._states[slide] = "failed"

    def _inspect(self, inspect: Inspect, slide: int) -> None:
        from ats_mag.viewer.overlay import Overlay

        self._overlays[slide] = Overlay(inspect(self._slides[slide]))


def model_opener(model: Path) -> Callable[[], Inspect]:
    """Loads the model when it is called.

    Args:
        model: a `.keras` file.

    Raises:
        FileNotFoundError, ValueError: at once, where the file is not there or plainly none of a model.
    """
    import zipfile

    from ats_mag.model.unloadable import damage_of

    if model.is_dir():
        raise ValueError(
            f"{str(model)!r} is a folder: the viewer shows what each patch adds to the prediction, for which it needs the "
            ".keras file that the model was exported from"
        )
    if not model.exists():
        raise FileNotFoundError(f"model {str(model)!r} does not exist")
    if not zipfile.is_zipfile(model):
        raise ValueError(f"{str(model)!r} is no .keras file")
    damage = damage_of(model)
    if damage is not None:
        raise ValueError(f"cannot load the model {str(model)!r}: {damage}")

    def open_model() -> Inspect:
        from ats_mag.model.classifier import SlideClassifier
        from ats_mag.model.saving import load_model
        from ats_mag.pictures.inspected_slide import inspect_slide

        loaded = load_model(model, compile=False)
        if not isinstance(loaded, SlideClassifier):
            raise ValueError(f"{str(model)!r} holds a {type(loaded).__name__}, not a SlideClassifier")
        return lambda slide: inspect_slide(loaded, slide.path, slide.mpp, tissue_mask=slide.tissue_mask)

    return open_model
