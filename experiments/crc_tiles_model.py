"""The networks of `crc_tiles.py` and how they are trained."""

from __future__ import annotations

from typing import Any, Literal

import keras
from pydantic import BaseModel, ConfigDict
from stand_out import stand_out_network

import ats_mag

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
        learning_rate: of Adam, constant but for a cosine fall over the last third.
        entropy, magnification_entropy: strengths of the attention's regularisers.
        stand_out: logit per deviation that a cell stands out of its slide, at the start of training; 0: start uniform.
        explore_steps, auxiliary: see `SlideClassifier`.
        overview_steps: of training of the overview baseline.
        uniform_passes: random draws at test over which the uniform baseline's AUC is averaged.
        snap: whether patches move onto the tile grid, see `SlideClassifier`.
        seed: of weights, order and draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    magnifications: tuple[float, ...] = (1.0, 2.0)
    patch_size: int = 56
    n_patches: int = 16
    overview_mpp: float = 56.0
    stride: int = 2
    batch_size: int = 16
    steps: int = 500
    learning_rate: float = 1e-3
    entropy: float = 0.002
    magnification_entropy: float = 0.1
    stand_out: float = 1.0
    explore_steps: int = 0
    auxiliary: float = 0.5
    overview_steps: int = 500
    uniform_passes: int = 5
    snap: bool = True
    seed: int = 0


def classifier(settings: Settings, attention: Attention = "learnt") -> ats_mag.SlideClassifier:
    """The compiled model.

    Args:
        settings: of the run.
        attention: `learnt`; or fixed: `start` as the learnt one starts, or `uniform` over the tissue.
    """
    keras.utils.set_random_seed(settings.seed)
    start = 0.0 if attention == "uniform" else settings.stand_out
    network = stand_out_network(len(settings.magnifications), settings.stride, start)
    network.trainable = attention == "learnt"
    third = settings.steps // 3
    fall = keras.optimizers.schedules.CosineDecay(settings.learning_rate, third, alpha=0.02)
    rate = _After(fall, settings.steps - third)
    model = ats_mag.SlideClassifier(
        CLASSES,
        magnifications=settings.magnifications,
        patch_size=settings.patch_size,
        n_patches=settings.n_patches,
        overview_mpp=settings.overview_mpp,
        attention=network,
        explore_steps=settings.explore_steps,
        snap=settings.snap,
        auxiliary=settings.auxiliary,
        head="binary",
        method="priority",
        stratify=True,
        test_method="priority" if attention == "uniform" else "topk",
        regularizers=[
            ats_mag.MultinomialEntropy(settings.entropy),
            ats_mag.MagnificationEntropy(settings.magnification_entropy),
        ],
        normalize_features=False,  # they are of equal norm already
        seed=settings.seed,
    )
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
    return model


@keras.saving.register_keras_serializable("crc_tiles")
class _After(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that begins after `start` steps; until then its first value."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, start: int) -> None:
        self.schedule, self.start = schedule, start

    def __call__(self, step: Any) -> Any:
        return self.schedule(keras.ops.maximum(keras.ops.cast(step, "float32") - self.start, 0.0))

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.optimizers.schedules.serialize(self.schedule), "start": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _After:
        return cls(keras.optimizers.schedules.deserialize(config["schedule"]), config["start"])
