"""Trains on slides with whichever backend KERAS_BACKEND names, in a process of its own: `worker.py JOB FOLDER`.

FOLDER holds `slides.txt`, a path per line, and what another worker left.
"""

# ruff: noqa: E402  (TensorFlow has to be hidden before Keras is imported)
import json
import os
import sys
from pathlib import Path


class NoTensorFlow:
    """As if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if os.environ["KERAS_BACKEND"] == "jax":
    sys.meta_path.insert(0, NoTensorFlow())

import keras
import numpy as np

from ats_mag.model.built_in_networks import attention_network, feature_network
from ats_mag.model.classifier import SlideClassifier
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.sampling.schedules import ScheduleStrength
from ats_mag.slides.paths import encode_paths

LABELS = np.array([0, 1, 2, 0])


def build(**options):
    attention = attention_network(2, 4, (8, 8))
    logits = attention.get_layer("logits")
    logits.kernel.assign(np.random.default_rng(7).normal(0, 0.5, logits.kernel.shape))  # not the uniform start
    settings = {"patch_size": 32, "n_patches": 6, "overview_mpp": 16.0, "explore_steps": 2, "seed": 3} | options
    model = SlideClassifier(
        ["a", "b", "c"], ("20x", "5x"), attention=attention, feature=feature_network(32, 16, (8, 16)), **settings
    )
    model.compile(keras.optimizers.SGD(0.1))
    return model


def inputs_of(folder):
    inputs = slide_inputs((folder / "slides.txt").read_text().split(), 16.0, 4)
    cells = int(np.prod(inputs["mask"].shape[1:])) // 4**2 * 2
    noise = np.random.default_rng(0).uniform(size=(len(LABELS), cells)).astype("float32")
    return inputs, {**inputs, "noise": noise}


def train(folder):
    """Three steps, the first two exploring, from the weights in the folder; what was found goes to `BACKEND.npz`."""
    inputs, noisy = inputs_of(folder)
    model = build()
    weights = folder / "start.weights.h5"
    if not weights.exists():
        model.save_weights(weights)
    model.load_weights(weights)
    fade = ScheduleStrength(lambda step: 0.03 * (2 - step))
    history = model.fit(noisy, LABELS, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[fade]).history
    found = {f"fit {name}": values for name, values in history.items()}
    found |= {f"evaluate {k}": v for k, v in model.evaluate(inputs, LABELS, verbose=0, return_dict=True).items()}
    looked = model.inspect(inputs, n_patches=8)
    found |= {f"inspect {name}": getattr(looked, name) for name in looked.__dataclass_fields__}
    found["predict"] = model.predict(inputs, verbose=0)
    model.test_method = "exhaustive"
    model.make_predict_function(force=True)
    found["exhaustive"] = model.predict(inputs, verbose=0)
    found |= {f"inputs {name}": value for name, value in inputs.items()}
    np.savez(folder / keras.backend.backend(), steps=int(model.step), jit=model.jit_compile, **found)


def fail(folder):
    """What a missing slide makes of each way to run the model, with either treatment, goes to `errors.json`."""
    _, noisy = inputs_of(folder)
    noisy["path"][1:2] = encode_paths(["/nowhere/missing.svs"])[:, : noisy["path"].shape[1]]
    errors = {}
    for name, run in {
        "fit": lambda: build().fit(noisy, LABELS, batch_size=2, epochs=3, verbose=0),
        "evaluate": lambda: build().evaluate(noisy, LABELS, batch_size=4, verbose=0),
        "predict": lambda: build().predict(noisy, verbose=0),
    }.items():
        try:
            run()
        except Exception as error:
            errors[name] = [type(error).__name__, str(error)]
    filling = build(on_error="fill")
    errors["unreadable"] = filling.fit(noisy, LABELS, batch_size=4, epochs=3, verbose=0).history["unreadable"]
    (folder / "errors.json").write_text(json.dumps(errors))


if __name__ == "__main__":
    {"train": train, "fail": fail}[sys.argv[1]](Path(sys.argv[2]))
