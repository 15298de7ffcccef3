"""What a model may predict of a slide, as hypotheses of which all but the true ones are to be ruled out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import ops

from ats_mag.model.heads import Head
from ats_mag.tensors import Tensor


@dataclass(frozen=True)
class Hypotheses:
    """The hypotheses of a head and what speaks against each.

    With one label per slide, hypothesis h is "class h has the largest score", and every other class is a *rival*: a score
    above that of h rules h out. With labels that are on or off, each has the two hypotheses "off" and "on", and its score, or
    its negative, is the only rival.

    Attributes:
        direction: `(C, H, J)`: the contrast of the C scores that rival j holds against hypothesis h. Were h true, none of
            them would be positive.
        groups: how many of the H hypotheses are true: 1, or the number of labels.
        ranked: whether the class of the largest score is the true hypothesis.
    """

    direction: np.ndarray
    groups: int
    ranked: bool

    def standing(self, scores: Tensor) -> Tensor:
        """The hypotheses `(H,)` bool that scores `(C,)` make true."""
        if self.ranked:
            return ops.arange(self.direction.shape[0]) == ops.argmax(scores)
        on = scores > 0
        return ops.reshape(ops.stack([ops.logical_not(on), on], axis=1), (-1,))


def hypotheses_of(head: Head, n_scores: int) -> Hypotheses:
    """The hypotheses of that kind of head with C scores."""
    one = np.eye(n_scores, dtype="float32")
    if head.ranked:
        rivals = [[one[j] - one[h] for j in range(n_scores) if j != h] for h in range(n_scores)]
        return Hypotheses(np.moveaxis(np.array(rivals), -1, 0), 1, True)
    against = np.stack([one, -one], axis=1).reshape(-1, 1, n_scores)
    return Hypotheses(np.moveaxis(against, -1, 0), n_scores, False)
