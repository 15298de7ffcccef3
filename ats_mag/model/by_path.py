"""Slides given by path where Keras takes arrays: files, folders of them, or manifests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from ats_mag.cohort.find_slides import CohortSlide, find_slides
from ats_mag.geometry.lattice import Lattice
from ats_mag.model.heads import Head
from ats_mag.model.keras_loops import MendedModel
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.slides.errors import plain_errors
from ats_mag.tensors import Tensor

if TYPE_CHECKING:
    Labels: TypeAlias = Sequence[int | str] | Mapping[str, int | str]

Place: TypeAlias = str | os.PathLike[str]
Slides: TypeAlias = Place | Sequence[Place]


class PathModel(MendedModel):
    """A model of slides that also takes them by path, each alone, as they are served and evaluated.

    A path is that of a slide's file, of a folder that is searched, or of a manifest, see `find_slides`. Tissue masks that a manifest
    names are used.
    """

    classes: list[str]
    head_kind: Head
    lattice: Lattice

    @property
    def overview_multiple(self) -> int:
        """Overview pixels of whose multiples a slide that is predicted alone is made, see `Lattice.overview_multiple`."""
        return self.lattice.overview_multiple()

    def inputs_of(self, slides: Slides, slide_mpp: float | None = None) -> dict[str, np.ndarray]:
        """The inputs of slides, as one batch.

        Args:
            slides: their paths.
            slide_mpp: um/px of level 0. None: the files' own.

        Returns:
            NumPy arrays, see `SlideClassifier`.

        Raises:
            FileNotFoundError, SlideError, ValueError: a slide cannot be read, has no known resolution or no tissue.
        """
        found = _found(slides, slide_mpp)
        stated = sorted({slide.mpp for slide in found if slide.mpp is not None})
        if stated and (len(stated) > 1 or any(slide.mpp is None for slide in found)):
            raise ValueError(
                "slides of several stated resolutions cannot be one batch: use `predict_slides`, which takes each alone. "
                f"Received: {', '.join(f'{mpp:g}' for mpp in stated)} um/px"
            )
        return self._inputs(found, stated[0] if stated else None)

    def predict_slides(self, slides: Slides, slide_mpp: float | None = None) -> pd.DataFrame:
        """Predicts slides one by one. `ats-mag predict` does so for cohorts, and survives interruptions and bad slides.

        Args:
            slides: their paths.
            slide_mpp: um/px of level 0 where a manifest does not state it. None: the files' own.

        Returns:
            A row per slide: `path`, `slide_id`, `p_CLASS` of every class, and `predicted`: the most probable class, or all
            those above 0.5 of a `multi_label` head, joined by ";".

        Raises:
            FileNotFoundError, SlideError, ValueError: as `inputs_of`.
            RuntimeError: a probability is no number.
        """
        found = _found(slides, slide_mpp)
        probabilities = self.head_kind.class_probabilities(self._predict_each(found))
        table = pd.DataFrame({"path": [slide.path for slide in found], "slide_id": [slide.slide_id for slide in found]})
        for c, name in enumerate(self.classes):
            table[f"p_{name}"] = probabilities[:, c]
        table["predicted"] = [self.head_kind.predicted(row, self.classes) for row in probabilities]
        return table

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`; of paths, each slide alone.

        Raises:
            ValueError: the slides were prepared for another model.
            RuntimeError: a probability is no number.
        """
        if is_paths(x):
            _refuse(args, kwargs, "predict")
            return self._predict_each(_found(x, None))
        if isinstance(x, Mapping) and len(x["overview"]) == 0:  # which Keras' loop does not take
            return np.asarray(self(x))
        return super().predict(x, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`; of paths, each slide alone, with `y` their labels.

        These are class names or what the head takes, in the order of the slides, or by slide id (a file's name without its
        suffix).

        Raises:
            ValueError: labels that are not one for each slide, or none of the classes; or the slides were prepared for another
                model.
            RuntimeError: the loss is no number.
        """
        if not is_paths(x):
            return super().evaluate(x, y, *args, **kwargs)
        as_dict = kwargs.pop("return_dict", False)
        _refuse(args, kwargs, "evaluate")
        slides = _found(x, None)
        labels = _labels_of(slides, y, self.classes, self.head_kind)
        if not slides:
            raise ValueError("there is no slide to evaluate. Received: no path")
        self.reset_metrics()
        with plain_errors(), self._metrics_of_all():
            for slide, label in zip(slides, labels, strict=True):
                found = self.test_on_batch(self._inputs([slide], slide.mpp), label[None], return_dict=as_dict)
        self.check_losses()
        return found

    def reset_metrics(self) -> None:
        """As `keras.Model.reset_metrics`, which Keras also calls before every single batch that is tested."""
        if not getattr(self, "_one_metric", False):
            super().reset_metrics()

    @contextmanager
    def _metrics_of_all(self) -> Iterator[None]:
        """Within it, metrics are over all batches."""
        self._one_metric = True
        try:
            yield
        finally:
            self._one_metric = False

    def _predict_each(self, found: list[CohortSlide]) -> np.ndarray:
        rows = [np.zeros((0, self.head_kind.units(len(self.classes))), "float32")]
        with plain_errors():
            for slide in found:
                row = np.asarray(self.predict_on_batch(self._inputs([slide], slide.mpp)))
                rows.append(self.finite(row, f"of slide {slide.path!r}"))
        return np.concatenate(rows)

    def _inputs(self, slides: list[CohortSlide], mpp: float | None) -> dict[str, np.ndarray]:
        mpp = float("nan") if mpp is None else mpp
        with plain_errors():
            return slide_inputs(
                [slide.path for slide in slides],
                self.lattice.overview_mpp,
                self.overview_multiple,
                mpp,
                tissue=self.tissue,
                masks=[slide.tissue_mask for slide in slides],
            )


def is_paths(x: Any) -> bool:
    """Whether these are paths rather than arrays."""
    several = isinstance(x, list | tuple) and all(isinstance(place, str | os.PathLike) for place in x)
    return several or isinstance(x, str | os.PathLike)


def _found(slides: Slides, slide_mpp: float | None) -> list[CohortSlide]:
    places = [slides] if isinstance(slides, str | os.PathLike) else slides
    return [
        slide for place in places for slide in find_slides([place], mpp=slide_mpp)
    ]  # one that is named twice, twice


def _refuse(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> None:
    ignored = {"verbose", "batch_size"}  # slides are looked at one by one
    if args or kwargs.keys() - ignored:
        received = ", ".join([*map(repr, args), *sorted(kwargs.keys() - ignored)])
        raise TypeError(f"{name} of slides given by path takes no further arguments. Received: {received}")


def _labels_of(found: list[CohortSlide], y: Any, classes: list[str], head: Head) -> Iterator[Tensor]:
    """The labels as the head takes them, in the order of the slides."""
    from ats_mag.records.record import encode_label

    ids = [slide.slide_id for slide in found]
    if isinstance(y, Mapping):
        missing = [slide_id for slide_id in ids if slide_id not in y]
        if missing:
            raise ValueError(f"y has no label of slide {missing[0]!r}; it has {', '.join(map(repr, list(y)[:5]))}")
        y = [y[slide_id] for slide_id in ids]
    if y is None or len(y) != len(found):
        count = "none" if y is None else str(len(y))
        raise ValueError(f"evaluate needs a label for each of the {len(found)} slides as y. Received: {count}")
    return iter(
        [
            encode_label(label, classes, not head.exclusive, slide_id) if isinstance(label, str) else np.asarray(label)
            for slide_id, label in zip(ids, y, strict=True)
        ]
    )
