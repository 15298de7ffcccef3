"""The Keras model that a pretrained encoder becomes."""

from __future__ import annotations

import re
from typing import Any

import keras

from ats_mag.model.encoders import convolutions
from ats_mag.model.encoders.token_pool import TokenPool
from ats_mag.model.encoders.vision_transformer import VisionTransformer
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import KerasConfig

_LAST = re.compile(r"last-([1-9]\d*)-blocks?")


def check_trainable(trainable: bool | str) -> None:
    """Refuses what is neither a truth value nor `last-N-blocks`.

    Raises:
        ValueError: of anything else.
    """
    if not isinstance(trainable, bool) and not (isinstance(trainable, str) and _LAST.fullmatch(trainable)):
        raise ValueError(
            f"trainable must be true, false or 'last-N-blocks', N a number. Received: trainable={trainable!r}"
        )


@keras.saving.register_keras_serializable(PACKAGE)
class PretrainedEncoder(keras.Model):
    """A network with its preprocessing before and its pooling behind it: patches `(B, P, P, 3)` in 0..255 -> `(B, D)` float32.

    Its configuration is complete: a saved model loads without the files that the weights once came from.

    Args:
        network: standardised patches -> tokens, or -> features.
        patch_size: P.
        mean: of the channels, pixel values as 0..1.
        std: of the channels.
        pool: of a network's tokens. None: the network gives features.
        trainable: False, True, or `last-N-blocks`.
        origin: where the weights are from: `name`, `files` (paths) and, of a preset, `licence`.
    """

    def __init__(
        self,
        network: keras.layers.Layer,
        patch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        pool: str | None = None,
        trainable: bool | str = False,
        origin: dict[str, Any] | None = None,
        name: str = "encoder",
    ) -> None:
        check_trainable(trainable)
        mean, std = tuple(map(float, mean)), tuple(map(float, std))
        inputs = keras.Input((patch_size, patch_size, 3), name="patch")
        scale, offset = [1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]
        x = network(keras.layers.Rescaling(scale, offset, dtype="float32", name="standardise")(inputs))
        if pool is not None:
            x = TokenPool(pool, network.n_prefix, name="pool")(x)
        super().__init__(inputs, x, name=name)
        self.network, self.patch_size, self.mean, self.std, self.pool = network, patch_size, mean, std, pool
        self.origin = dict(origin or {})
        self.set_trainable(trainable)

    @property
    def stages(self) -> list[list[keras.layers.Layer]]:
        """The network's parts that can be frozen one by one, from the image on."""
        if isinstance(self.network, VisionTransformer):
            return self.network.stages
        return convolutions.stages(self.network)

    def set_trainable(self, trainable: bool | str) -> None:
        """Frees all of the network, none of it, or its last blocks and what follows them.

        Args:
            trainable: True, False or `last-N-blocks`.

        Raises:
            ValueError: of anything else, or where the network has fewer blocks.
        """
        check_trainable(trainable)
        self.network.trainable = True  # first: to set what is set already has no effect on the layers inside
        self.network.trainable = bool(trainable)
        self._free = trainable
        if not isinstance(trainable, str):
            return
        stages, count = self.stages, int(trainable.split("-")[1])
        blocks = [number for number, stage in enumerate(stages) if stage[0].name.startswith("block")]
        if count > len(blocks):
            raise ValueError(f"the encoder {self.name} has {len(blocks)} blocks. Received: trainable={trainable!r}")
        for stage in stages[: blocks[-count]]:
            for layer in stage:
                layer.trainable = False

    def get_config(self) -> KerasConfig:
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "patch_size": self.patch_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "pool": self.pool,
            "trainable": self._free if self.network.trainable else False,
            "origin": self.origin,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: KerasConfig, custom_objects: dict[str, Any] | None = None) -> PretrainedEncoder:
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})
