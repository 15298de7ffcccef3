"""Trains small networks on fold 0 of a configuration, in a process that may be killed: `train_worker.py CONFIG [PARTS]`.

The slides that every training step read go to `seen.csv` of the run's folder, a line `epoch,batch,slide;slide...` per
step; the final weights go to `weights.npz`. PARTS: of a training step, see `steps`.
"""

import sys

import numpy as np
from seen_slides import Seen


def main():
    from ats_mag.model import built_in_networks as networks
    from ats_mag.model import training_step as steps

    feature, attention = networks.feature_network, networks.attention_network
    networks.feature_network = lambda size: feature(size, 16, (8, 16))
    networks.attention_network = lambda m, stride, **options: attention(m, stride, (8, 8), **options)
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
