"""Trains small networks on fold 0 of one configuration after another, alone or as one of several hosts.

`host_worker.py ADDRESSES INDEX CONFIG...`: addresses as `--hosts` takes them; "" and 0: alone. Patches are not drawn but the most
probable ones, so that results do not depend on who draws. The slides that every step read here go to `seen-INDEX.csv` of a run's
folder, a line `epoch,batch,slide;slide...` per step; weights and history of the end to `weights-INDEX.npz` and `history-INDEX.csv`.
"""

import contextlib
import sys

import keras
import numpy as np
import pandas as pd
from seen_slides import Seen


class Logged(Seen):
    """Keeps what each epoch logged, too."""

    def __init__(self, file):
        super().__init__(file)
        self.rows = []

    def on_train_begin(self, logs=None):
        noted = self.model.on_unreadable
        super().on_train_begin(logs)
        if noted is not None:  # bad slides are noted there
            self.model.on_unreadable = noted

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
            seen = Logged(config.run / f"seen-{index}.csv")
            model = train_fold(run, 0, [seen], hosts)
            np.savez(config.run / f"weights-{index}.npz", *model.get_weights())
            pd.DataFrame(seen.rows).to_csv(config.run / f"history-{index}.csv", index=False)
            keras.utils.clear_session()


if __name__ == "__main__":
    main(*sys.argv[1:])
