"""A feature network made of an encoder and an adapter; what is frozen of it costs bounded memory and no gradient."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ats_mag.backend import while_loop
from ats_mag.model.encoders.pretrained import PretrainedEncoder, check_trainable
from ats_mag.model.encoders.weights_elsewhere import encoder_of_reference, frozen_bytes, reference_to
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import Features, KerasConfig, Patches, Tensor

LARGE = 100_000_000  # bytes of frozen weights above which they are not copied into files
CHUNK = 32  # patches; the largest maps of EfficientNet-Lite0 then take 150 MB at 224 px


@keras.saving.register_keras_serializable(PACKAGE)
class AdaptedEncoder(keras.Model):
    """Patches `(B, P, P, 3)` in 0..255 -> features `(B, D)` float32, by an encoder and an adapter behind it.

    A frozen encoder runs in inference mode, `chunk` patches at a time, and no gradient goes through it.

    Args:
        encoder: patches -> encoded `(B, E)`, e.g. of `ats_mag.encoder`. Patches of another size are resized for it.
        adapter: encoded -> features. None: what is encoded are the features.
        patch_size: P. None: the encoder's.
        trainable_encoder: False, True, or `last-N-blocks` of a `PretrainedEncoder`. It stays so when `trainable` is set for a
            whole model.
        chunk: patches that a frozen encoder computes at a time.
        apart: whether saving names the files that the frozen weights came from instead of copying the weights. None: where they
            take more than 100 MB and came from files.
    """

    def __init__(
        self,
        encoder: keras.Model,
        adapter: keras.Model | None = None,
        patch_size: int | None = None,
        trainable_encoder: bool | str = False,
        chunk: int = CHUNK,
        apart: bool | None = None,
        **kwargs: Any,
    ) -> None:
        check_trainable(trainable_encoder)
        if isinstance(trainable_encoder, str) and not isinstance(encoder, PretrainedEncoder):
            raise ValueError(
                f"trainable_encoder must be True or False for {encoder.name}, which has no blocks. Received: "
                f"trainable_encoder={trainable_encoder!r}"
            )
        kwargs.setdefault("autocast", False)
        kwargs.setdefault("dtype", "float32")
        self._made = False
        super().__init__(**kwargs)
        self.encoder, self.adapter = encoder, adapter
        self.encoder_size = encoder.input_shape[1]
        self.patch_size = self.encoder_size if patch_size is None else patch_size
        self.trainable_encoder, self.chunk = trainable_encoder, chunk
        self._made = True
        self._free_encoder()
        self._learnt = {id(variable) for variable in encoder.trainable_variables}
        self.encoded_dimension = encoder.output_shape[-1]
        large = isinstance(encoder, PretrainedEncoder) and frozen_bytes(encoder) > LARGE
        self.apart = (large and bool(encoder.origin.get("files"))) if apart is None else apart
        for variable in encoder.variables:
            variable.of_encoder = True  # for an optimiser with a learning rate for them
        self.built = True

    def build(self, input_shape: object = None) -> None:
        """Everything was built with the model."""

    @property
    def frozen(self) -> bool:
        """Whether nothing of the encoder learns."""
        return not self.encoder.trainable_variables

    @property
    def trainable(self) -> bool:
        """Whether it learns; the encoder only as far as `trainable_encoder` says."""
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Model.trainable.fset(self, value)
        if value and self._made:
            self._free_encoder()

    def _free_encoder(self) -> None:
        if isinstance(self.encoder, PretrainedEncoder):
            self.encoder.set_trainable(self.trainable_encoder)
        else:
            self.encoder.trainable = bool(self.trainable_encoder)

    def call(self, patches: Patches, training: bool = False) -> Features:
        return self.adapt(self.encode(patches, training), training)

    def encode(self, patches: Patches, training: bool = False, chunk: int | None = None) -> Tensor:
        """What the encoder says of patches `(B, P, P, 3)`: `(B, E)` float32; frozen, `chunk` (None: the model's) at a time."""
        if not self.frozen:
            return self._encode_at_once(patches, training)
        return ops.stop_gradient(self._encode_in_chunks(patches, chunk or self.chunk))

    def adapt(self, encoded: Tensor, training: bool = False) -> Features:
        """Features `(B, D)` of what `encode` gave."""
        return encoded if self.adapter is None else self.adapter(encoded, training=training)

    def _encode_at_once(self, patches: Patches, training: bool) -> Tensor:
        patches = ops.cast(patches, "float32")
        if self.encoder_size != self.patch_size:
            size = (self.encoder_size,) * 2
            patches = ops.image.resize(patches, size, "bilinear", antialias=True, data_format="channels_last")
        return ops.cast(self.encoder(patches, training=training), "float32")

    def _encode_in_chunks(self, patches: Patches, chunk: int) -> Tensor:
        count = patches.shape[0]
        if count is not None and count <= chunk:
            return self._encode_at_once(patches, False)
        count = ops.shape(patches)[0]
        short = -count % chunk  # chunks of one size: a patch is computed alike whatever comes with it
        padded = ops.pad(patches, ((0, short), (0, 0), (0, 0), (0, 0)))
        side = self.patch_size

        def encode_chunk(start: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
            here = ops.slice(padded, (start, 0, 0, 0), (chunk, side, side, 3))
            found = self._encode_at_once(here, False)
            return start + chunk, ops.slice_update(encoded, (start, 0), found)

        encoded = ops.zeros((count + short, self.encoded_dimension), dtype="float32")
        start = ops.zeros((), dtype="int32")
        _, encoded = while_loop(lambda start, _: start < count, encode_chunk, (start, encoded))
        return encoded[:count]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.encoded_dimension if self.adapter is None else self.adapter.output_shape[-1])

    def variables_apart(self) -> list[keras.Variable]:
        """The variables that no file needs to hold.

        Raises:
            ValueError: one of them was set free behind the model's back.
        """
        if not self.apart:
            return []
        apart = [variable for variable in self.encoder.variables if id(variable) not in self._learnt]
        if self.trainable and any(variable.trainable for variable in apart):
            raise ValueError(
                f"weights of the encoder {self.encoder.name} that files do not hold were set free: say so by trainable_encoder "
                "when the AdaptedEncoder is made, or make it with apart=False"
            )
        return apart

    def _learnt_variables(self) -> list[keras.Variable]:
        apart = {id(variable) for variable in self.variables_apart()}
        return [variable for variable in self.encoder.variables if id(variable) not in apart]

    def __dir__(self) -> list[str]:
        """Keras saves the layers among these; an encoder that is kept apart saves only what it learnt."""
        hidden = {"encoder", "layers"} if self.__dict__.get("apart") else set()
        return [name for name in super().__dir__() if name not in hidden]

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if self.apart:
            for number, variable in enumerate(self._learnt_variables()):
                store[f"learnt_{number}"] = ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Any) -> None:
        if self.apart:
            for number, variable in enumerate(self._learnt_variables()):
                variable.assign(store[f"learnt_{number}"])
        else:
            super().load_own_variables(store)

    def get_config(self) -> KerasConfig:
        adapter = None if self.adapter is None else keras.saving.serialize_keras_object(self.adapter)
        return {
            "encoder": reference_to(self.encoder) if self.apart else keras.saving.serialize_keras_object(self.encoder),
            "adapter": adapter,
            "patch_size": self.patch_size,
            "trainable_encoder": self.trainable_encoder,
            "chunk": self.chunk,
            "apart": self.apart,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: KerasConfig) -> AdaptedEncoder:
        config = dict(config)
        make = encoder_of_reference if config["apart"] else keras.saving.deserialize_keras_object
        config["encoder"] = make(config["encoder"])
        if config["adapter"] is not None:
            config["adapter"] = keras.saving.deserialize_keras_object(config["adapter"])
        return cls(**config)
