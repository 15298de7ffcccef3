"""The classifier of the crc-tiles slides."""

from __future__ import annotations

import keras

import ats_mag
from ats_mag.model.stand_out_network import stand_out_network
from ats_mag.slides.tissue_options import OTSU
from ats_mag.tensors import KerasConfig, Tensor
from experiments.crc_tiles.settings import CLASSES, Attention, Settings


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
        tissue=OTSU,
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
    model.compile(ats_mag.Recipe(rate, clip_each=1.0).optimizer(settings.steps))
    return model


@keras.saving.register_keras_serializable("crc_tiles")
class _After(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that begins after `start` steps; until then its first value."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, start: int) -> None:
        self.schedule, self.start = schedule, start

    def __call__(self, step: Tensor) -> Tensor:
        return self.schedule(keras.ops.maximum(keras.ops.cast(step, "float32") - self.start, 0.0))

    def get_config(self) -> KerasConfig:
        return {"schedule": keras.optimizers.schedules.serialize(self.schedule), "start": self.start}

    @classmethod
    def from_config(cls, config: KerasConfig) -> _After:
        return cls(keras.optimizers.schedules.deserialize(config["schedule"]), config["start"])
