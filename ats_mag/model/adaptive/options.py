"""When to stop reading."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from ats_mag.system.arguments import as_integer, positive, whole

LARGEST_SEED = 2**31 - 2


@dataclass(frozen=True)
class AdaptiveOptions:
    """When to stop reading, and how.

    Attributes:
        confidence: with this probability, at least, the class of a slide that is decided is the one that reading every
            cell would give; the intervals of all class scores hold together with this probability, too.
        min_patches: read before anything is decided.
        max_patches: read at most. None: all cells, if need be.
        block: patches read at a time, after each of which it is decided whether to go on.
        first: the most probable cells, read before any is drawn. Measured (docs/adaptive.md): two save a tenth where the
            attention is peaked, and cost more than that elsewhere, as draws find these cells by themselves.
        seed: of the draws, the same for every slide of a batch; `Predictor` makes another of it for every slide, see `for_slide`.
            None: other ones every time.

    Raises:
        ValueError: for values that make no sense.
    """

    confidence: float = 0.95
    min_patches: int = 1
    max_patches: int | None = None
    block: int = 4
    first: int = 0
    seed: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.confidence, bool) or not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1. Received: confidence={self.confidence!r}")
        checked = {"block": positive("block", self.block), "min_patches": positive("min_patches", self.min_patches)}
        checked["first"] = whole("first", self.first, 0)
        if self.max_patches is not None:
            checked["max_patches"] = positive("max_patches", self.max_patches)
        if self.seed is not None:
            checked["seed"] = self._checked_seed()
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # NumPy's integers as Python's, which JSON knows
        if self.max_patches is not None and self.max_patches < self.min_patches:
            raise ValueError(
                f"max_patches must be at least min_patches. Received: min_patches={self.min_patches}, "
                f"max_patches={self.max_patches}"
            )

    def _checked_seed(self) -> int:
        seed = as_integer(self.seed)
        if seed is None or not 0 <= seed <= LARGEST_SEED:
            raise ValueError(f"seed must be None or an integer from 0 to {LARGEST_SEED}. Received: seed={self.seed!r}")
        return seed

    def for_slide(self, name: str) -> AdaptiveOptions:
        """The same with a seed of that slide's own.

        So its patches do not depend on what else is predicted, and an unlucky draw on one slide is none on the others.
        """
        if self.seed is None:
            return self
        return replace(self, seed=zlib.crc32(f"{self.seed} {name}".encode(errors="surrogateescape")) % LARGEST_SEED)
