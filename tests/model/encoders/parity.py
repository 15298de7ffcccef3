"""Tokens and features of the encoders in `vectors/`, computed on whichever backend Keras runs: `parity.py FILE`."""

# ruff: noqa: E402  (TensorFlow has to be hidden before Keras is imported)
import importlib.abc
import os
import sys
from pathlib import Path

VECTORS = Path(__file__).with_name("vectors")


class NoTensorFlow(importlib.abc.MetaPathFinder):
    """As if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__" and os.environ["KERAS_BACKEND"] == "jax":
    sys.meta_path.insert(0, NoTensorFlow())

import keras
import numpy as np
from model.encoders.made_weights import made_patches

import ats_mag


def tiny_models():
    """Each folder of a tiny transformer, with what its library computes: `{size: tokens}`."""
    return {p.parent.name: dict(np.load(p)) for p in sorted(VECTORS.glob("*/tokens.npz"))}


def compute(model, x):
    """Compiled as a whole on JAX, which otherwise compiles each operation by itself."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.jit(lambda x: model(x, training=False))(x))
    return np.asarray(model(x, training=False))


def tokens_of(name, size):
    """All tokens of the two made patches."""
    encoder = ats_mag.encoder(VECTORS / name, size, pool="cls+mean")
    through = keras.Model(encoder.input, encoder.network.output)
    return compute(through, made_patches(2, size).astype("float32"))


def lite0_features():
    """Of eight made patches."""
    return compute(ats_mag.encoder("efficientnet-lite0", 64), made_patches(8, 64).astype("float32"))


def main(file):
    """One size of each tiny model, and Lite0's features."""
    found = {name: tokens_of(name, int(max(tokens, key=int))) for name, tokens in tiny_models().items()}
    found["lite0"] = lite0_features()
    np.savez(file, backend=keras.backend.backend(), **found)


if __name__ == "__main__":
    main(sys.argv[1])
