"""The networks of `crc_tiles.py` and how they are trained."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers
from pydantic import BaseModel, ConfigDict

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


@keras.saving.register_keras_serializable("crc_tiles")
class SlideContrast(layers.Layer):
    """Standardises how dark a slide's pixels are to mean 0 and deviation 1 per channel over all that is not white.

    White, which also fills all padding, becomes 0 as convolutions pad with, so the tissue has no bright rim.
    """

    def call(self, x: Any) -> Any:
        ops = keras.ops
        x = ops.cast(x, "float32")
        tissue = ops.cast(ops.min(x, axis=-1, keepdims=True) < 225, "float32")
        count = ops.maximum(ops.sum(tissue, axis=(1, 2), keepdims=True), 1.0)
        centred = tissue * (ops.sum(tissue * x, axis=(1, 2), keepdims=True) / count - x)
        deviation = ops.sqrt(ops.sum(ops.square(centred), axis=(1, 2), keepdims=True) / count)
        return centred / (deviation + 1.0)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


@keras.saving.register_keras_serializable("crc_tiles")
class StandOut(layers.Layer):
    """How far a cell and its rim lie from the slide's mean darkness, in deviations of pixels: `(B, H, W, 1)`."""

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, contrast: Any) -> Any:
        mean = keras.ops.mean(contrast, axis=-1, keepdims=True)
        return keras.ops.abs(keras.ops.average_pool(mean, 2 * self.stride, self.stride, "same"))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


def attention_network(settings: Settings, stand_out: float) -> keras.Model:
    """Overview -> logits.

    The attention starts on what stands out of the slide, darker or lighter, `stand_out` per deviation; with 0 it starts
    uniform. That start knows no labels and no places, but it is a prior: where only 1.4 % of the patches tell the class,
    attention that started uniform had not left chance after 900 steps (measured with entropy 0.005, and up to 200 steps
    with 0.002).
    """
    x = inputs = keras.Input((None, None, 3), name="overview")
    contrast = x = SlideContrast()(x)
    for width, stride in ((16, 1), (32, settings.stride), (32, 1)):
        x = layers.Conv2D(width, 3, strides=stride, padding="same", activation="relu")(x)
    n, start = len(settings.magnifications), keras.initializers.Constant(stand_out)
    learnt = layers.Conv2D(n, 1, kernel_initializer="zeros", name="logits")(x)
    first = layers.Conv2D(n, 1, kernel_initializer=start, use_bias=False, name="start")(
        StandOut(settings.stride)(contrast)
    )
    return keras.Model(inputs, layers.Add()([learnt, first]), name="attention")


def classifier(settings: Settings, attention: Attention = "learnt") -> ats_mag.SlideClassifier:
    """The compiled model.

    Args:
        settings: of the run.
        attention: `learnt`; or fixed: `start` as the learnt one starts, or `uniform` over the tissue.
    """
    keras.utils.set_random_seed(settings.seed)
    network = attention_network(settings, 0.0 if attention == "uniform" else settings.stand_out)
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
