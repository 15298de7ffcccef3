"""Predicting slides by path, with a `.keras` model or an exported SavedModel."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ats_mag.model.decide import decided_label
from ats_mag.prediction.model_identity import Models, paths_of

if TYPE_CHECKING:
    from ats_mag.model.adaptive.options import AdaptiveOptions
    from ats_mag.model.adaptive.predict import AdaptivePrediction

    Predict = Callable[[str, float, str | None], "np.ndarray | AdaptivePrediction"]


@dataclass(frozen=True)
class SlidePrediction:
    """What a model says of one slide.

    Attributes:
        classes: names of the C classes.
        probabilities: `(C,)`.
        exclusive: whether a slide has exactly one of them.
        n_patches, low, high, score_low, score_high, reason: of adaptive prediction only, see `AdaptivePrediction`.
    """

    classes: list[str]
    probabilities: np.ndarray
    exclusive: bool = True
    n_patches: int | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    score_low: np.ndarray | None = None
    score_high: np.ndarray | None = None
    reason: str | None = None

    @property
    def predicted(self) -> str:
        """The most probable class, or all above 0.5, joined by ";"."""
        return decided_label(self.probabilities, self.classes, self.exclusive)

    def columns(self) -> dict[str, Any]:
        """As a row of a table: `p_CLASS`, `predicted` and, of adaptive prediction, the interval of each, `n_patches` and `stopped`."""
        row: dict[str, Any] = {f"p_{name}": float(p) for name, p in zip(self.classes, self.probabilities, strict=True)}
        row["predicted"] = self.predicted
        if self.low is not None and self.high is not None:
            for name, low, high in zip(self.classes, self.low, self.high, strict=True):
                row |= {f"low_{name}": float(low), f"high_{name}": float(high)}
            row |= {"n_patches": self.n_patches, "stopped": self.reason}
        return row


class Predictor:
    """Class probabilities of slides, one at a time.

    Args:
        path: a `.keras` file of a `SlideClassifier`, or the folder of an exported SavedModel; or several of the same classes,
            whose probabilities are averaged (each reads patches of its own, and all are held in memory).
        adaptive: read patches until the class is decided; of one model only. None: predict as the model does at test.

    Attributes:
        classes: names of the classes.

    Raises:
        FileNotFoundError, ValueError: no model is there, or one of another kind, or one that cannot predict adaptively.
    """

    def __init__(self, path: Models, adaptive: AdaptiveOptions | None = None) -> None:
        paths = paths_of(path)
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(f"model {str(path)!r} does not exist")
        if adaptive is not None and len(paths) > 1:
            raise ValueError(f"adaptive prediction is of one model: choose one of {', '.join(map(str, paths))}")
        opened = [(_open_export if path.is_dir() else _open_keras)(path, adaptive) for path in paths]
        self.classes, self._exclusive, self._predict = opened[0]
        for path, (classes, exclusive, _) in zip(paths, opened, strict=True):
            if (classes, exclusive) != (self.classes, self._exclusive):
                raise ValueError(
                    f"models whose probabilities are averaged need the same classes: {str(paths[0])!r} has {self.classes}, "
                    f"{str(path)!r} has {classes}"
                )
        if len(opened) > 1:
            self._predict = _mean_of([predict for _, _, predict in opened])

    def __call__(self, slide: str | os.PathLike[str], slide_mpp: float | None = None) -> np.ndarray:
        """Probabilities `(C,)` of one slide, see `predict`."""
        return self.predict(slide, slide_mpp).probabilities

    def predict(
        self, slide: str | os.PathLike[str], slide_mpp: float | None = None, tissue_mask: str | None = None
    ) -> SlidePrediction:
        """Predicts one slide.

        Args:
            slide: the file.
            slide_mpp: um/px of level 0. None: the file's own.
            tissue_mask: file in which somebody drew its tissue, see `slides.own_mask`; of a `.keras` model only. None: it is found.

        Raises:
            FileNotFoundError, SlideError, ValueError: the slide cannot be read, has no known resolution or no tissue; or the mask
                cannot be used.
            RuntimeError: the model gives a probability that is no number.
        """
        from ats_mag.slides.errors import plain_errors

        with plain_errors():
            found = self._predict(os.fspath(slide), float("nan") if slide_mpp is None else slide_mpp, tissue_mask)
        probabilities = found if isinstance(found, np.ndarray) else found.probabilities
        if not np.isfinite(probabilities).all():  # of an exported model
            raise RuntimeError(
                f"the model gives NaN or infinite probabilities of slide {os.fspath(slide)!r}: train it again"
            )
        if isinstance(found, np.ndarray):
            return SlidePrediction(self.classes, found, self._exclusive)
        intervals = (found.low, found.high, found.score_low, found.score_high)
        return SlidePrediction(
            self.classes, found.probabilities, self._exclusive, found.n_patches, *intervals, found.reason
        )

    def over(self, slides: Sequence[str | os.PathLike[str]], slide_mpp: float | None = None) -> Iterator[np.ndarray]:
        """The probabilities of each slide in turn."""
        return (self(slide, slide_mpp) for slide in slides)


def no_masks(export: str | os.PathLike[str], mask: str) -> str:
    """Why an exported model cannot predict with a mask that somebody drew."""
    return (
        f"{os.fspath(export)!r} is an exported model, which finds the tissue itself and cannot take the mask {mask!r}: predict with the "
        ".keras file that it was exported from, or leave the mask out"
    )


def _mean_of(each: Sequence[Predict]) -> Predict:
    def predict(slide: str, slide_mpp: float, tissue_mask: str | None) -> np.ndarray:
        return np.mean([np.asarray(one(slide, slide_mpp, tissue_mask)) for one in each], axis=0)

    return predict


def _open_keras(path: Path, adaptive: AdaptiveOptions | None) -> tuple[list[str], bool, Predict]:
    from ats_mag.model.adaptive.bounds import score_range
    from ats_mag.model.adaptive.predict import predict_adaptively
    from ats_mag.model.saving import load_classifier
    from ats_mag.model.slide_inputs import slide_inputs

    model = load_classifier(path)
    model.on_error = "raise"  # a slide that is partly read must not pass as predicted
    if adaptive is not None:
        score_range(model, model.head.kernel)  # says what is missing before any slide is read

    def predict(slide: str, slide_mpp: float, tissue_mask: str | None) -> np.ndarray | AdaptivePrediction:
        inputs = slide_inputs(
            [slide],
            model.lattice.overview_mpp,
            model.overview_multiple,
            slide_mpp,
            tissue=model.tissue,
            masks=[tissue_mask],
        )
        if adaptive is not None:
            return predict_adaptively(model, inputs, adaptive.for_slide(Path(slide).name))[0]
        return model.head_kind.class_probabilities(model.finite(model(inputs), f"of slide {slide!r}"))[0]

    return model.classes, model.head_kind.exclusive, predict


def _open_export(path: Path, adaptive: AdaptiveOptions | None) -> tuple[list[str], bool, Predict]:
    import tensorflow as tf

    from ats_mag.model.adaptive.predict import adaptive_prediction
    from ats_mag.model.adaptive.stopping import REASONS
    from ats_mag.model.export.adaptive_endpoint import NAME, serving_options
    from ats_mag.model.export.description import CARD
    from ats_mag.model.heads import get_head
    from ats_mag.slides.shared_library import load_op

    try:
        card = json.loads((path / CARD).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} is no run, and no model that `ats-mag export` wrote: {CARD} is missing or damaged"
        ) from error
    head = get_head(card["head"])
    load_op()
    module = tf.saved_model.load(str(path))
    serve = module.signatures.get("serving_default" if adaptive is None else NAME)
    if serve is None:
        raise ValueError(
            f"{str(path)!r} cannot predict adaptively: it was exported by an older release (export it again), or its features "
            "have no bound (see docs/adaptive.md)"
        )

    def predict(
        slide: str, slide_mpp: float, tissue_mask: str | None, _owner: Any = module
    ) -> np.ndarray | AdaptivePrediction:
        if tissue_mask is not None:
            raise ValueError(no_masks(path, tissue_mask))
        where = {"path": tf.constant(os.fsencode(slide)), "slide_mpp": tf.constant(slide_mpp, tf.float64)}
        if adaptive is None:
            return head.class_probabilities(serve(**where)["probabilities"].numpy())[0]
        options = serving_options(adaptive.for_slide(Path(slide).name))
        found = {name: value.numpy()[0] for name, value in serve(**where, **options).items()}
        scores = (found["score"], found["score_low"], found["score_high"])
        return adaptive_prediction(head, *scores, found["n_patches"], REASONS.index(found["reason"].decode()))

    return card["classes"], head.exclusive, predict
