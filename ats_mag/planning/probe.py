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
    from ats_mag.model.feature_cache.cache import FeatureCache
    from ats_mag.planning.facts import Facts

STEPS = 4  # the first of which is traced
CACHE_BYTES = 10**8  # of the features of a few batches
LEAST_REST = 0.05  # of a step, that is not its patches


@dataclass(frozen=True)
class Probe:
    """What a few steps took.

    Attributes:
        slides: of each step, the largest among them.
        begin: seconds of loading what trains, and of building the model.
        start: seconds that the first step took longer.
        test_start: seconds that the first step of a test took longer.
        rest: seconds of a training step beside its patches.
        test_rest: seconds that a slide takes at test beside its patches.
        patch: seconds of reading and encoding one patch, as the run will do it.
        memory: the most bytes of main memory, with Python, TensorFlow and the model.
        gpu_memory: the most bytes of the GPU's; None: there is none.
        weights: bytes of the model's.
        dimension: numbers that the encoder says of a patch; None: it keeps nothing.
    """

    slides: int
    begin: float
    start: float
    test_start: float
    rest: float
    test_rest: float
    patch: float
    memory: int
    gpu_memory: int | None
    weights: int
    dimension: int | None


def run_probe(config: RunConfig, facts: Facts) -> Probe:
    """Trains the planned model for some steps on one batch of slides, and throws it away.

    Args:
        config: the plan.
        facts: it rests on.

    Raises:
        ValueError: the encoder cannot be built as planned.
        SlideError: a slide cannot be read.
    """
    begun = time.perf_counter()
    import keras
    import numpy as np

    from ats_mag.model.feature_cache.cache import FeatureCache
    from ats_mag.records.record import encode_label
    from ats_mag.slides.errors import plain_errors
    from ats_mag.system import memory
    from ats_mag.training.build import build_model, recipe_of

    multi_label = config.model.head == "multi_label"
    classes = class_list(facts.readable, multi_label, config.data.labels)
    size = min(config.train.batch_size, len(facts.slides))
    model = build_model(config, recipe_of(config), classes, config.prepare.overview_mpp, STEPS, size)
    dimension = getattr(model.feature, "encoded_dimension", None)
    begin = time.perf_counter() - begun
    by_area = sorted(facts.slides, key=lambda slide: slide.extent[0] * slide.extent[1])
    chosen = [by_area[i].slide_id for i in np.linspace(0, len(by_area) - 1, size).round().astype(int)[::-1]]
    label_of = facts.manifest.set_index("slide_id")["label"]
    labels = np.stack([encode_label(label_of[slide], classes, multi_label, slide) for slide in chosen])
    with plain_errors():
        inputs = _inputs(config, facts, chosen, model)
        keeps = facts.encoder.caches and bool(config.train.feature_cache_gb)
        if keeps:
            model.feature_cache = _AllKnown(dimension or facts.encoder.dimension)
        first, step = _time_steps(model, inputs, labels)
        first_test, test = _time_tests(model, inputs, labels)
        if keeps:
            model.feature_cache = cache = FeatureCache(model, CACHE_BYTES)
            patch, rest, test_rest = _time_patch(model, inputs, cache), step, test
        else:
            patch = _time_patch(model, inputs)
            rest, test_rest = (
                max(seconds - patch * size * draws, LEAST_REST * seconds)
                for seconds, draws in ((step, model.n_patches), (test, model.test_n_patches))
            )
    found = Probe(
        size,
        begin,
        max(first - step, 0.0),
        max(first_test - test, 0.0),
        rest,
        test_rest / size,
        patch,
        memory.peak(),
        _gpu_peak() if facts.machine.gpus else None,
        sum(
            variable.value.nbytes if hasattr(variable.value, "nbytes") else 4 * int(np.prod(variable.shape))
            for variable in model.variables
        ),
        dimension,
    )
    keras.utils.clear_session()
    return found


class _AllKnown:
    """A cache that knows every patch, so that what a step takes beside its patches can be timed."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def look_up(self, path: Any, cells: Any, geometry: Any, turn: Any) -> tuple[Any, ...]:
        import numpy as np

        from ats_mag.model.feature_cache.memory_store import KEY_BYTES

        shape = cells.shape[:2]
        return (
            np.ones(shape, bool),
            np.zeros((*shape, self.dimension), np.float32),
            np.zeros((*shape, KEY_BYTES), np.uint8),
            np.float64(0),
        )

    def keep(self, keys: Any, vectors: Any, valid: Any, start: Any) -> Any:
        return vectors


def _inputs(config: RunConfig, facts: Facts, slides: list[str], model: SlideClassifier) -> dict[str, Any]:
    from ats_mag.model.slide_inputs import slide_inputs

    path_of, mpp_of = facts.manifest.set_index("slide_id")["path"], {s.slide_id: s.mpp for s in facts.slides}
    paths = [os.path.join(config.data.slides, path_of[slide]) for slide in slides]
    mpps = [mpp_of[slide] for slide in slides]
    return slide_inputs(paths, config.prepare.overview_mpp, model.overview_multiple, mpps, config.prepare.empty_mask)


def _time_steps(model: SlideClassifier, inputs: dict[str, Any], labels: Any) -> tuple[float, float]:
    """Seconds of the first training step on a batch, which is traced, and of the fastest of the others."""
    import keras

    clock = _clock()
    batches = _repeated(inputs, labels)
    keras.Model.fit(model, batches, epochs=1, verbose=0, shuffle=False, callbacks=[clock])
    return clock.first, clock.fastest


def _time_tests(model: SlideClassifier, inputs: dict[str, Any], labels: Any) -> tuple[float, float]:
    """The same of testing."""
    import keras

    clock = _clock()
    keras.Model.evaluate(model, _repeated(inputs, labels), verbose=0, callbacks=[clock])
    return clock.first, clock.fastest


def _repeated(inputs: dict[str, Any], labels: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensors((inputs, labels)).cache().repeat(STEPS)


def _clock() -> Any:
    """A callback that keeps when batches ended."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.ends = [time.perf_counter()]

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.ends.append(time.perf_counter())

        on_test_batch_end = on_train_batch_end

        @property
        def first(self) -> float:
            return self.ends[1] - self.ends[0]

        @property
        def fastest(self) -> float:
            return min(end - start for start, end in itertools.pairwise(self.ends[1:]))

    return Clock()


def _time_patch(model: SlideClassifier, inputs: dict[str, Any], cache: FeatureCache | None = None) -> float:
    """Seconds of reading and encoding a patch that the model's cache lacks, a step's at a time."""
    import keras
    import tensorflow as tf

    tensors = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
    attention = model.attend(tensors)
    features = tf.function(lambda index: model.features_at(tensors, index)[0])
    for _ in range(2):  # the first is traced
        index = model.draw(attention, method=model.method, n=model.n_patches).index
        before = None if cache is None else cache.counts
        start = time.perf_counter()
        keras.ops.convert_to_numpy(features(index))
    seconds = time.perf_counter() - start
    if cache is None or before is None:
        return seconds / (index.shape[0] * index.shape[1])
    found = cache.counts.since(before)
    return seconds / max(found.asked - found.found, 1)


def _gpu_peak() -> int:
    import tensorflow as tf

    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
