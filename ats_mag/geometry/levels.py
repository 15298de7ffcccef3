"""Which level of a slide serves a resolution: what the op does (`op/resample.cc`), told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE = 0.02  # a level whose resolution is that near to the one asked for is taken as it stands


@dataclass(frozen=True)
class LevelChoice:
    """How a resolution is made.

    Attributes:
        level: that is read, 0 the finest.
        factor: its pixels per pixel that comes out, along a side; 1 where it is taken as it stands.
        how: `copy`, `average` (from a finer level) or `interpolate` (from a coarser one: detail is missing).
    """

    level: int
    factor: float
    how: str


def choose_level(level_downsamples: Sequence[float], downsample: float) -> LevelChoice:
    """The level that is read for patches of a resolution.

    Args:
        level_downsamples: level-0 pixels per pixel of each level, as of `SlideInfo`.
        downsample: level-0 pixels per pixel asked for: its um/px divided by that of level 0.

    Returns:
        The nearest level where it is within 2 %; else the nearest finer one; else level 0.
    """
    levels = range(len(level_downsamples))
    nearest = min(levels, key=lambda level: abs(level_downsamples[level] - downsample))
    if abs(level_downsamples[nearest] - downsample) <= TOLERANCE * downsample * (1 + 1e-9):
        return LevelChoice(nearest, 1.0, "copy")
    finer = [level for level in levels if level_downsamples[level] < downsample]
    if finer:
        level = max(finer, key=lambda level: level_downsamples[level])
        return LevelChoice(level, downsample / level_downsamples[level], "average")
    return LevelChoice(0, downsample / level_downsamples[0], "interpolate")
