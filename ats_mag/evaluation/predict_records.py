"""Predicting prepared records, one slide at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from ats_mag.model.overview_resolution import check_resolution
from ats_mag.sampling.methods import STOCHASTIC_METHODS
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.slides.errors import SlideError
from ats_mag.system.short_repr import short_repr

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier

Predicted: TypeAlias = tuple[dict[str, Any], "Found | str"]  # a record, what is predicted of it or why nothing is
Progress: TypeAlias = Callable[[Iterable[Predicted], int], Iterable[Predicted]]

_SEED = 0


class Found(NamedTuple):
    """Of one slide: probabilities `(D, C)`, the attention's spread, and its mass per magnification `(M,)`."""

    probabilities: np.ndarray
    spread: float
    mass: np.ndarray


class Predictions(NamedTuple):
    """What a model predicts of slides.

    Attributes:
        records: those that could be predicted.
        draws: `(D, n, C)` float64, the probabilities of each draw; D is 1 where the model draws nothing at random.
        unreadable: why each of the others could not be read, by `slide_id`.
        spread: `(n,)` over what share of its cells each slide's attention lies, see `attention_state.spread_of`.
        mass: `(n, M)` the attention's mass at each magnification.
    """

    records: list[dict[str, Any]]
    draws: np.ndarray
    unreadable: dict[str, str]
    spread: np.ndarray
    mass: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self, self._asdict())


def predict_records(
    model: SlideClassifier,
    records: list[dict[str, Any]],
    slide_root: str | os.PathLike[str],
    draws: int = 1,
    copies: LocalCopies | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Predictions:
    """Predicts slides, each alone and with random numbers of its own.

    So a slide's probabilities are the same whatever other slides are predicted with it, and in which order: a batch
    would change the padding of the overviews, and with it rounding, and hand out random numbers by place.

    Args:
        model: predicts with its `test_method`.
        records: as `find_records` gives them.
        slide_root: folder that the records' paths are relative to.
        draws: passes per slide, where `test_method` draws at random.
        copies: where to copy slides to ahead of their use; None: they are read where they are.
        skip_unreadable: whether a slide that cannot be read is kept count of instead of raised.
        progress: wraps the iteration over the slides, given their number.

    Raises:
        SlideError, OSError: a slide that cannot be read, unless skipped; none that can.
        RecordError, ValueError: records that the model cannot use.
        RuntimeError: the model gives a probability that is no number.
    """
    for record in records:
        check_resolution(record["overview_mpp"], model.lattice.overview_mpp, f"slide {record['slide_id']!r}")
    if model.test_method not in STOCHASTIC_METHODS:
        draws = 1
    kept, found, unreadable = [], [], {}
    slides: Iterable[Predicted] = _predict_each(model, records, slide_root, draws, copies, skip_unreadable)
    for record, result in slides if progress is None else progress(slides, len(records)):
        if isinstance(result, str):
            unreadable[record["slide_id"]] = result
        else:
            kept.append(record)
            found.append(result)
    if unreadable and not found:
        slide, reason = next(iter(unreadable.items()))
        raise SlideError(f"none of {len(unreadable)} slides can be read, e.g. {slide!r}: {reason}")
    shape = (draws, 0, len(model.classes))
    return Predictions(
        kept,
        np.stack([one.probabilities for one in found], axis=1) if found else np.zeros(shape),
        unreadable,
        np.array([one.spread for one in found]),
        np.array([one.mass for one in found]).reshape(-1, len(model.magnifications)),
    )


def _predict_each(
    model: SlideClassifier,
    records: list[dict[str, Any]],
    slide_root: str | os.PathLike[str],
    draws: int,
    copies: LocalCopies | None,
    skip: bool,
) -> Iterator[Predicted]:
    """Each record with what is predicted of it, or with why it could not be read."""
    from keras import ops

    from ats_mag.model.attention_state import spread_of
    from ats_mag.records.dataset import dataset
    from ats_mag.slides.errors import naming_key, plain_errors
    from ats_mag.system.open_files import limit_behind

    start = 0
    while start < len(records):
        rest = records[start:]
        try:
            with naming_key(None if skip else "evaluate.on_bad_slide"), plain_errors():
                for inputs in dataset(rest, slide_root, None, 1, multiple=model.overview_multiple, local_copies=copies):
                    probabilities = [_predict_one(model, records[start], inputs, draw) for draw in range(draws)]
                    attention = model.attend(inputs)
                    spread, mass = (np.asarray(a)[0] for a in (spread_of(attention), ops.sum(attention, axis=(1, 2))))
                    yield records[start], Found(np.stack(probabilities), float(spread), mass)
                    start += 1
        except OSError as error:
            if not skip or limit_behind(error) is not None:
                raise
            yield records[start], str(error)  # the pipeline ended with it; a new one takes up after the slide
            start += 1


def _predict_one(model: SlideClassifier, record: dict[str, Any], inputs: dict[str, Any], draw: int) -> np.ndarray:
    if model.test_method in STOCHASTIC_METHODS:
        cells = model.lattice.cell_count(model.lattice.shape_of_overview(inputs["mask"].shape[1:]))
        count = model.test_n_patches if model.test_method == "replacement" else cells
        rng = np.random.default_rng([_SEED, draw, *record["slide_id"].encode()])
        inputs = {**inputs, "noise": rng.random((1, count), dtype="float32")}
    outputs = model.finite(model.predict_on_batch(inputs), f"of slide {record['slide_id']!r}")
    return model.head_kind.class_probabilities(outputs)[0].astype("float64")
