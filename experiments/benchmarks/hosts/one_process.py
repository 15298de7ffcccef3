"""One of the processes that are measured: `python -m experiments.benchmarks.hosts.one_process ADDRESSES INDEX SLIDE BATCH STEPS OUT`.

A step is that of a frozen EfficientNet-Lite0 with an adapter on BATCH slides of each process, so that all processes have equally much
to compute, however many there are. The exchange is the sum, over all processes, of ten arrays that have so many MB (10^6 bytes) together. Everything is measured by the wall clock and by the processor's time that the process took, which does not
depend on what else the machine does.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import ats_mag
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.training.hosts.hosts import Hosts
from ats_mag.training.hosts.places import places_of

OVERVIEW_MPP, PATCH, N_PATCHES, MAGNIFICATIONS = 8.0, 112, 16, (1.0, 2.0)
MEGABYTES, TURNS = (1, 10, 100), 7


Clock = tuple[float, float]  # seconds of the wall clock, and of the processor


def clock() -> Clock:
    """The two clocks now."""
    return time.perf_counter(), time.process_time()


def since(begun: Clock) -> Clock:
    """What has passed on them."""
    now = clock()
    return now[0] - begun[0], now[1] - begun[1]


class StepTimes(keras.callbacks.Callback):
    """Notes how long each step takes."""

    def __init__(self) -> None:
        super().__init__()
        self.clocks: list[Clock] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.begun = clock()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.clocks.append(since(self.begun))


def main(addresses: str, index: str, slide: str, batch: str, steps: str, out: str) -> None:
    """Measures and writes what this process took."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)  # one may wait for the exchange
    hosts = Hosts(places_of(addresses, int(index)), {}) if "," in addresses else None
    with hosts.together() if hosts else nullcontext():
        strategy = hosts.strategy if hosts else None
        clocks, trained = time_steps(strategy, slide, int(batch), int(steps))
        found: dict[str, Any] = {"step": clocks, "trained_mb": trained, "exchange": {}}
        if hosts is not None:
            for megabytes in MEGABYTES:
                found["exchange"][megabytes] = time_exchange(hosts, megabytes)
        Path(out).write_text(json.dumps(found))


def time_steps(
    strategy: tf.distribute.Strategy | None, slide: str, batch: int, steps: int
) -> tuple[list[Clock], float]:
    """What each step took but the first, which traces; and MB of weights that learn."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else nullcontext():
        encoder = ats_mag.encoder("efficientnet-lite0", 128)
        feature = ats_mag.AdaptedEncoder(encoder, ats_mag.adapter(encoder.output_shape[-1]), PATCH)
        model = ats_mag.SlideClassifier(
            2, MAGNIFICATIONS, PATCH, N_PATCHES, OVERVIEW_MPP, feature=feature, normalize_features=False, overlap=1
        )
        model.compile(ats_mag.Recipe.known().optimizer(steps))
    inputs = slide_inputs([slide] * batch, OVERVIEW_MPP, model.lattice.overview_multiple())
    labels = np.arange(batch) % 2

    def data(_: object = None) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors((inputs, labels)).repeat(steps + 1)

    times = StepTimes()
    given = strategy.distribute_datasets_from_function(data) if strategy else data()
    keras.Model.fit(model, given, verbose=0, shuffle=False, callbacks=[times])
    return times.clocks[1:], sum(int(np.prod(v.shape)) for v in model.trainable_variables) * 4 / 1e6


def time_exchange(hosts: Hosts, megabytes: int) -> list[Clock]:
    """What each exchange took but the first."""
    strategy = hosts.strategy
    arrays = [tf.ones(megabytes * 25_000) for _ in range(10)]

    @tf.function
    def exchange() -> Any:
        def each() -> Any:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, arrays)

        return strategy.run(each)

    found = []
    for _ in range(TURNS + 1):
        hosts.gather("turn", None)  # all begin at once
        begun = clock()
        tf.nest.map_structure(lambda array: array.numpy()[:1], exchange())
        found.append(since(begun))
    return found[1:]


if __name__ == "__main__":
    main(*sys.argv[1:])
