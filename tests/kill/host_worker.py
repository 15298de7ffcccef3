"""Trains small networks on fold 0 of one configuration after another, alone or as one of several hosts.

`host_worker.py ADDRESSES INDEX CONFIG...`: addresses as `--hosts` takes them; "" and 0: alone. Patches are not drawn but the most
probable ones, so that results do not depend on who draws. The slides that every step read here go to `seen-INDEX.csv` of a run's
folder, a line `epoch,batch,slide;slide...` per step; weights and history of the end to `weights-INDEX.npz` and `history-INDEX.csv`.
"""

import contextlib
import os
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf


class Seen(keras.callbacks.Callback):
    """Notes which training slides each step read here, and what each epoch logged."""

    def __init__(self, file):
        super().__init__()
        self.file, self.names, self.lock, self.rows = file, set(), threading.Lock(), []

    def on_train_begin(self, logs=None):
        self.done = self.params["done"]
        if self.model.on_unreadable is None:  # else bad slides are noted there
            self.model.on_unreadable = self.watch

    def watch(self, path, index, geometry, valid):
        def note(path, valid):
            with self.lock:
                self.names |= {Path(os.fsdecode(p.astype(np.uint8).tobytes().rstrip(b"\0"))).stem for p in path}
            return valid

        return tf.ensure_shape(tf.numpy_function(note, [path, valid], tf.bool), valid.shape)

    def on_train_batch_begin(self, batch, logs=None):
        self.names.clear()

    def on_train_batch_end(self, batch, logs=None):
        epoch, at = divmod(self.done, self.params["steps"])
        self.done += 1
        with open(self.file, "a") as stream:
            stream.write(f"{epoch},{at},{';'.join(sorted(self.names))}\n")

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append(dict(logs or {}))


def main(addresses, index, *configs):
    from ats_mag.config.reading import read_config
    from ats_mag.model import built_in_networks as networks
    from ats_mag.model import classifier
    from ats_mag.model import training_step as steps
    from ats_mag.runs.run import Run
    from ats_mag.training.fit import train_fold
    from ats_mag.training.hosts.opening import open_hosts, open_run
    from ats_mag.training.hosts.places import places_of

    feature, attention = networks.feature_network, networks.attention_network
    networks.feature_network = lambda size: feature(size, 16, (8, 16))
    networks.attention_network = lambda m, stride, **options: attention(m, stride, (8, 8), **options)
    steps.DEFAULT_PARTS = 1
    draw = classifier.SlideClassifier.draw
    classifier.SlideClassifier.draw = lambda self, a, *_, **__: draw(self, a, method="topk")
    with contextlib.ExitStack() as stack:
        hosts = None
        if addresses:
            places = places_of(addresses, int(index))
            hosts = stack.enter_context(open_hosts(read_config(configs[0]), places).together())
        for config in map(read_config, configs):
            run = Run.open(config) if hosts is None else open_run(hosts, config)
            seen = Seen(config.run / f"seen-{index}.csv")
            model = train_fold(run, 0, [seen], hosts)
            np.savez(config.run / f"weights-{index}.npz", *model.get_weights())
            pd.DataFrame(seen.rows).to_csv(config.run / f"history-{index}.csv", index=False)
            keras.utils.clear_session()


if __name__ == "__main__":
    main(*sys.argv[1:])
