"""How the networks of the crc-tiles slides are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

CLASSES = ("healthy", "cancer")
Attention = Literal["learnt", "start", "uniform"]


class Settings(BaseModel):
    """How everything is trained.

    Attributes:
        magnifications: um/px.
        patch_size: pixels.
        n_patches: N.
        overview_mpp: um/px; with `stride` one cell is as large as a tile of the slides, 112 um.
        stride: overview pixels per cell.
        batch_size: slides.
        steps: of training, whatever the attention.
        encoder: frozen, with an adapter; see `ats_mag.encoder`.
        cache_bytes: memory for what the encoder said.
        overview_steps: of training of the overview baseline.
        uniform_passes: random draws at test over which the uniform baseline's AUC is averaged.
        snap: whether patches move onto the tile grid, see `SlideClassifier`.
        seed: of weights, order and draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    magnifications: tuple[float, ...] = (1.0, 2.0)
    patch_size: int = 112
    n_patches: int = 16
    overview_mpp: float = 56.0
    stride: int = 2
    batch_size: int = 16
    steps: int = 100
    encoder: str = "efficientnet-lite0"
    cache_bytes: int = 3 * 10**9
    overview_steps: int = 500
    uniform_passes: int = 5
    snap: bool = True
    seed: int = 0
