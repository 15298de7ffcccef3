"""Probabilities beside the truth: what every measure is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ats_mag.model.decide import decide
from ats_mag.system.short_repr import ShortRepr


class EvaluationWarning(UserWarning):
    """Something about a measurement that its reader must know."""


class UndefinedMeasureWarning(EvaluationWarning):
    """A measure, or its interval, that the data do not define; its value is NaN."""


@dataclass(frozen=True, repr=False)
class Scored(ShortRepr):
    """Slides, or patients, with their true classes and the probabilities predicted for them.

    Attributes:
        name: for messages, e.g. "fold 0, slides".
        unit: of a row: "slide" or "patient".
        classes: C names.
        truth: `(n, C)` bool; one true entry per row where the classes are exclusive.
        probabilities: `(n, C)`; rows sum to 1 where the classes are exclusive.
        patients: `(n,)` patient of each row: what the bootstrap resamples.
        exclusive: whether a row has exactly one class (heads `single_label`, `binary`) or any number (`multi_label`).
    """

    name: str
    unit: str
    classes: list[str]
    truth: np.ndarray
    probabilities: np.ndarray
    patients: np.ndarray
    exclusive: bool = True

    def __post_init__(self) -> None:
        shape = (len(self.patients), len(self.classes))
        if self.truth.shape != shape or self.probabilities.shape != shape:
            raise ValueError(
                f"truth and probabilities must have the shape (rows, classes) = {shape}. "
                f"Received: truth {self.truth.shape}, probabilities {self.probabilities.shape}"
            )
        bad = int((~np.isfinite(self.probabilities)).any(axis=1).sum())
        if bad:
            raise RuntimeError(
                f"{self.name}: the probabilities of {bad} of {len(self)} {self.unit}s are NaN or infinite: training has diverged; "
                "train again with a lower train.learning_rate, or with train.clip_norm"
            )

    def __len__(self) -> int:
        return len(self.patients)

    @cached_property
    def predicted(self) -> np.ndarray:
        """`(n, C)` bool: the most probable class, or each one of more than 0.5."""
        return decide(self.probabilities, self.exclusive)
