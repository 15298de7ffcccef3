"""Patches straight from the slide files, inside the model."""

from __future__ import annotations

from typing import Any

import keras

from ats_mag.regularizers import PACKAGE
from ats_mag.slides.reader import read_patches


@keras.saving.register_keras_serializable(PACKAGE)
class ReadSlidePatches(keras.layers.Layer):
    """Reads `(B, N)` patches from B slide files with the slide op.

    Runs on the CPU wherever the model runs, and has no gradient: places are integers.

    Args:
        patch_size: patch side in pixels.
        on_error: `"raise"`, or `"fill"`: an unreadable patch is white and not valid.

    Call arguments:
        path: `(B, L)` int32, the paths' UTF-8 bytes, zero-padded; or `(B,)` strings.
        location: `(B, N, 2)` int64, level-0 (x, y) of the top-left corners.
        downsample: `(B, N)` level-0 pixels per patch pixel.

    Returns:
        patches `(B, N, P, P, 3)` uint8, valid `(B, N)` bool.
    """

    def __init__(self, patch_size: int, on_error: str = "raise", **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(autocast=False, trainable=False, **kwargs)
        self.patch_size = patch_size
        if on_error not in ("raise", "fill"):
            raise ValueError(f'on_error must be "raise" or "fill". Received: on_error={on_error!r}')
        self.on_error = on_error
        self.supports_jit = False  # a custom CPU kernel: XLA has no lowering for it

    def call(self, path: Any, location: Any, downsample: Any) -> tuple[Any, Any]:
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                "reading slides inside a model needs Keras' TensorFlow backend: set KERAS_BACKEND=tensorflow. "
                f"Received: {keras.backend.backend()}"
            )
        if keras.backend.standardize_dtype(path.dtype) != "string":
            path = keras.ops.cast(path, "int32")  # Keras builds a model under a distribution strategy with batch means
        size = (self.patch_size, self.patch_size)
        if self.on_error == "fill":
            return read_patches(path, location, downsample, size, on_error="fill")
        patches = read_patches(path, location, downsample, size)
        return patches, keras.ops.ones(keras.ops.shape(patches)[:2], dtype="bool")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("trainable")
        return {**config, "patch_size": self.patch_size, "on_error": self.on_error}
