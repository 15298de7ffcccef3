"""What a plan rests on, as plain values: slides, manifest, machine and encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SlideFacts:
    """One slide that can be read.

    Attributes:
        slide_id: of the manifest.
        mpp: um/px of level 0.
        size: (width, height) of what was scanned, level-0 pixels.
        downsamples: level-0 pixels per pixel of each level.
        suffix: of its file, in small letters.
        vendor: as OpenSlide names it.
    """

    slide_id: str
    mpp: float
    size: tuple[int, int]
    downsamples: tuple[float, ...] = (1.0,)
    suffix: str = ""
    vendor: str = ""

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height in um."""
        return self.size[0] * self.mpp, self.size[1] * self.mpp

    @property
    def short(self) -> float:
        """The shorter side in um."""
        return min(self.extent)


@dataclass(frozen=True)
class TissueFacts:
    """What the overview of a slide, at the planned resolution, shows.

    Attributes:
        share: of it that is tissue, before what is empty is taken whole.
        cells: of the lattice, all magnifications together.
        tissue_cells: of them, those that may be looked at; all, where there is no tissue.
    """

    share: float
    cells: int
    tissue_cells: int


@dataclass(frozen=True)
class Machine:
    """What there is to compute with.

    Attributes:
        memory: free bytes of main memory.
        disk: free bytes where the run will lie.
        cpus: processors.
        gpus: names of GPUs that TensorFlow can use.
        gpu_memory: free bytes of the first of them; None: unknown, or there is none.
    """

    memory: int
    disk: int
    cpus: int
    gpus: tuple[str, ...] = ()
    gpu_memory: int | None = None

    @property
    def room(self) -> int:
        """Bytes that a training may use where it computes: what is free on the GPU, else half of what is free."""
        if not self.gpus:
            return self.memory // 2
        return self.memory // 2 if self.gpu_memory is None else int(0.8 * self.gpu_memory)


@dataclass(frozen=True)
class EncoderFacts:
    """What an encoder asks for.

    Attributes:
        name: as the configuration has it.
        known: whether its features are known before the first step.
        frozen: whether it stays as it is.
        patch: side of the patches that it likes, pixels.
        field_patch: the same of small fields.
        any_size: whether it takes patches of other sizes as they are; else they are resized to `patch` for it.
        mpp: um/px that it was made at; empty: any.
        dimension: numbers that it says of a patch.
    """

    name: str
    known: bool = True
    frozen: bool = True
    patch: int = 224
    field_patch: int = 112
    any_size: bool = True
    mpp: tuple[float, ...] = ()
    dimension: int = 1280

    @property
    def caches(self) -> bool:
        """Whether what it said of a patch stays true."""
        return self.known and self.frozen


@dataclass(frozen=True)
class Facts:
    """All of it.

    Attributes:
        manifest: as `load_manifest` gives it.
        slides: those that can be read, in the manifest's order.
        machine, encoder: see there.
        tissue: by slide; empty before the overviews were looked at.
        bad: slides that preparing cannot read, and why.
        damaged: slides of which patches cannot be read, and why.
    """

    manifest: pd.DataFrame
    slides: tuple[SlideFacts, ...]
    machine: Machine
    encoder: EncoderFacts
    tissue: Mapping[str, TissueFacts] = field(default_factory=dict)
    bad: Mapping[str, str] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def readable(self) -> pd.DataFrame:
        """The manifest's rows of slides that can be read."""
        return self.manifest[~self.manifest["slide_id"].isin([*self.bad, *self.damaged])]

    @property
    def regular(self) -> tuple[SlideFacts, ...]:
        """The slides without those whose shorter side is less than a quarter of the median's."""
        median = sorted(slide.short for slide in self.slides)[len(self.slides) // 2]
        return tuple(slide for slide in self.slides if 4 * slide.short >= median)

    @property
    def small(self) -> SlideFacts:
        """The slide below whose shorter side are a tenth of the regular ones: what fits it fits the cohort."""
        by_short = sorted(self.regular, key=lambda slide: slide.short)
        return by_short[(len(by_short) - 1) // 10]
