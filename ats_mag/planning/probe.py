"""A few training steps of the planned model on some of the slides, to learn what they cost here."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ats_mag.cohort.manifest import class_list

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.planning.facts import Facts

STEPS = 4  # the first of which is traced


@dataclass(frozen=True)
class Probe:
    """What a few steps took.

    Attributes:
        slides: of each step, the largest among them.
        step: seconds of a step that reads and encodes every patch.
        patch: seconds of reading and encoding one patch.
        start: seconds that the first step took longer.
        memory: the most bytes of main memory, with Python, TensorFlow and the model.
        gpu_memory: the most bytes of the GPU's; None: there is none.
        weights: bytes of the model's.
        dimension: numbers that the encoder says of a patch; None: it keeps nothing.
    """

    slides: int
    step: float
    patch: float
    start: float
    memory: int
    gpu_memory: int | None
    weights: int
    dimension: int | None

    def rest(self, draws: int) -> float:
        """Seconds of a step without its patches, `draws` of each slide."""
        return max(self.step - self.patch * draws * self.slides, 0.05 * self.step)


def run_probe(config: RunConfig, facts: Facts) -> Probe:
    """Trains the planned model for some steps on one batch of slides, and throws it away.

    Args:
        config: the plan.
        facts: it rests on.

    Raises:
        ValueError: the encoder cannot be built as planned.
        SlideError: a slide cannot be read.
    """
    import keras
    import numpy as np

    from ats_mag.records.record import encode_label
    from ats_mag.slides.errors import plain_errors
    from ats_mag.system import memory
    from ats_mag.training.build import build_model, recipe_of

    multi_label = config.model.head == "multi_label"
    classes = class_list(facts.readable, multi_label, config.data.labels)
    size = min(config.train.batch_size, len(facts.slides))
    model = build_model(config, recipe_of(config), classes, config.prepare.overview_mpp, STEPS, size)
    by_area = sorted(facts.slides, key=lambda slide: slide.extent[0] * slide.extent[1])
    chosen = [by_area[i].slide_id for i in np.linspace(0, len(by_area) - 1, size).round().astype(int)[::-1]]
    label_of = facts.manifest.set_index("slide_id")["label"]
    labels = np.stack([encode_label(label_of[slide], classes, multi_label, slide) for slide in chosen])
    with plain_errors():
        inputs = _inputs(config, facts, chosen, model)
        seconds = _time_steps(model, inputs, labels)
        step = min(seconds[1:])
        patch = _time_patches(model, inputs) / (size * model.n_patches)
    found = Probe(
        size,
        step,
        patch,
        max(seconds[0] - step, 0.0),
        memory.peak(),
        _gpu_peak() if facts.machine.gpus else None,
        sum(
            variable.value.nbytes if hasattr(variable.value, "nbytes") else 4 * int(np.prod(variable.shape))
            for variable in model.variables
        ),
        getattr(model.feature, "encoded_dimension", None),
    )
    keras.utils.clear_session()
    return found


def _inputs(config: RunConfig, facts: Facts, slides: list[str], model: SlideClassifier) -> dict[str, Any]:
    from ats_mag.model.slide_inputs import slide_inputs

    path_of, mpp_of = facts.manifest.set_index("slide_id")["path"], {s.slide_id: s.mpp for s in facts.slides}
    paths = [os.path.join(config.data.slides, path_of[slide]) for slide in slides]
    mpps = [mpp_of[slide] for slide in slides]
    return slide_inputs(paths, config.prepare.overview_mpp, model.overview_multiple, mpps, config.prepare.empty_mask)


def _time_steps(model: SlideClassifier, inputs: dict[str, Any], labels: Any) -> list[float]:
    """Seconds of training steps on one batch."""
    import keras
    import tensorflow as tf

    ends = [time.perf_counter()]

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            ends.append(time.perf_counter())

    batch = tf.data.Dataset.from_tensors((inputs, labels)).cache().repeat(STEPS)
    keras.Model.fit(model, batch, epochs=1, verbose=0, shuffle=False, callbacks=[Clock()])
    return [end - start for start, end in itertools.pairwise(ends)]


def _time_patches(model: SlideClassifier, inputs: dict[str, Any]) -> float:
    """Seconds of reading and encoding the patches of a step."""
    import keras
    import tensorflow as tf

    tensors = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
    index = model.draw(model.attend(tensors), method=model.method, n=model.n_patches).index
    features = tf.function(lambda: model.features_at(tensors, index)[0])
    for _ in range(2):  # the first is traced
        start = time.perf_counter()
        keras.ops.convert_to_numpy(features())
    return time.perf_counter() - start


def _gpu_peak() -> int:
    import tensorflow as tf

    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
