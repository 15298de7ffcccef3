"""Which slide comes when: every epoch's order from the seed and the epoch's number alone, so that any can be replayed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ORDER, _CHANGES = 0, 1  # streams of random numbers


class EpochOrder:
    """The slides of each epoch in order, and the seed of each one's random changes.

    Args:
        labels: of the slides.
        seed: of everything.
        sampling: `natural`: every slide once. `balanced`: as many draws as there are slides, every class equally often
            (but for a remainder, of classes drawn at random); a slide comes again only after all others of its class.

    Attributes:
        epoch: the current epoch; set it before the data are iterated.
        first: position in the epoch that data begin at.
        length: positions of an epoch.
    """

    def __init__(self, labels: Sequence[str] | np.ndarray, seed: int, sampling: str = "natural") -> None:
        self.labels = np.asarray(labels)
        self.seed, self.sampling = seed, sampling
        self.epoch = self.first = 0
        self.length = len(self.labels)
        self._known: tuple[int, np.ndarray] | None = None

    def starting_at(self, first: int) -> EpochOrder:
        """The same order, with data that begin at a later position."""
        order = EpochOrder(self.labels, self.seed, self.sampling)
        order.epoch, order.first = self.epoch, first
        return order

    def slides(self, epoch: int) -> np.ndarray:
        """Numbers of the slides of an epoch, `(length,)` int64."""
        random = np.random.default_rng([self.seed, epoch, _ORDER])
        if self.sampling == "natural":
            return random.permutation(self.length)
        classes = random.permutation(np.unique(self.labels))
        drawn = []
        for i, name in enumerate(classes):
            members = np.flatnonzero(self.labels == name)
            count = self.length // len(classes) + (i < self.length % len(classes))
            rounds = [random.permutation(members) for _ in range(-(-count // len(members)))]
            drawn.append(np.concatenate([*rounds, members[:0]])[:count])
        return random.permutation(np.concatenate(drawn))

    def slide(self, position: int | np.integer) -> tuple[np.int64, np.ndarray]:
        """Number of the slide at a position of the current epoch, and the seed `(2,)` int64 of its random changes."""
        epoch, known = self.epoch, self._known
        if known is None or known[0] != epoch:
            self._known = known = epoch, self.slides(epoch)  # a pipeline that is ending may ask for another epoch
        random = np.random.SeedSequence([self.seed, epoch, _CHANGES, int(position)])
        return np.int64(known[1][position]), random.generate_state(2, np.uint32).astype(np.int64)


def balanced_weights(labels: Sequence[str]) -> np.ndarray:
    """A weight per slide, ``n / (C n_c)`` for n slides of C classes, n_c of the slide's: mean 1, equal sums per class.

    The formula of scikit-learn's `compute_class_weight("balanced")` (King & Zeng, "Logistic regression in rare events
    data", 2001).
    """
    names, number, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return (len(number) / (len(names) * counts))[number].astype("float32")
