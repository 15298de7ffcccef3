"""Which training slides the steps of a process read, for scripts of this folder."""

import os
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
