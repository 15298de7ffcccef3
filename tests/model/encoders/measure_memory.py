"""Measures what loading a vision transformer of ViT-L/16's size costs: `python measure_memory.py FOLDER`.

Writes random weights of that size (1.2 GB) into FOLDER where there are none, loads them, and prints the peak of the process's
memory above what it had before, relative to the file, and the time of one patch.
"""

import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np

from experiments.common.random_encoder import write_random_vit_large


def main(folder):
    folder = Path(folder)
    file = folder / "model.safetensors"
    if not file.exists():  # in a process of its own, as its peak counts
        write_random_vit_large(folder)
        print("written: run it again to measure")
        return
    import ats_mag

    ats_mag.encoder("efficientnet-lite0", 32)(np.zeros((1, 32, 32, 3), np.float32))  # what the backend needs once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    encoder = ats_mag.encoder(folder, 224, pool="cls")
    loaded = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    size = file.stat().st_size
    patch = np.zeros((1, 224, 224, 3), np.float32)
    encoder.predict(patch, verbose=0)
    start = time.perf_counter()
    encoder.predict(patch, verbose=0)
    seconds = time.perf_counter() - start
    print(
        f"file {size / 1e9:.3f} GB, peak {peak / size:.3f} of it, loaded in {loaded:.1f} s, one patch {seconds:.2f} s"
    )


if __name__ == "__main__":
    main(sys.argv[1])
