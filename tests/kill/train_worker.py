"""Trains small networks on fold 0 of a configuration, in a process that may be killed: `train_worker.py CONFIG [PARTS]`.

The slides that every training step read go to `seen.csv` of the run's folder, a line `epoch,batch,slide;slide...` per
step; the final weights go to `weights.npz`. PARTS: of a training step, see `steps`.
"""

import os
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


class Seen(keras.callbacks.Callback):
    """Notes which training slides each step read."""

    def __init__(self, file):
        super().__init__()
        self.file = file
        self.names, self.lock = set(), threading.Lock()

    def on_train_begin(self, logs=None):
        self.done = self.params["done"]
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


def main():
    from ats_mag.model import built_in_networks as networks
    from ats_mag.model import training_step as steps

    feature, attention = networks.feature_network, networks.attention_network
    networks.feature_network = lambda size: feature(size, 16, (8, 16))
    networks.attention_network = lambda m, stride: attention(m, stride, (8, 8))
    if len(sys.argv) > 2:
        steps.DEFAULT_PARTS = int(sys.argv[2])
    from ats_mag.config.reading import read_config
    from ats_mag.runs.run import Run
    from ats_mag.training.fit import train_fold

    config = read_config(sys.argv[1])
    config.run.mkdir(parents=True, exist_ok=True)
    model = train_fold(Run.open(config), 0, [Seen(config.run / "seen.csv")])
    np.savez(config.run / "weights.npz", *model.get_weights())


if __name__ == "__main__":
    main()
