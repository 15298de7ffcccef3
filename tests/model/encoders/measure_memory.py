"""Measures what loading a vision transformer of ViT-L/16's size costs: `python measure_memory.py FOLDER`.

Writes random weights of that size (1.2 GB) into FOLDER where there are none, loads them, and prints the peak of the process's
memory above what it had before, relative to the file, and the time of one patch.
"""

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from model.encoders.made_files import write_safetensors

DIMENSION, DEPTH = 1024, 24


def tensors():
    random = np.random.default_rng(0)

    def made(*shape):
        return random.standard_normal(shape, np.float32) * 0.02

    d = DIMENSION
    found = {"cls_token": made(1, 1, d), "pos_embed": made(1, 197, d), "norm.weight": made(d), "norm.bias": made(d)}
    found |= {"patch_embed.proj.weight": made(d, 3, 16, 16), "patch_embed.proj.bias": made(d)}
    for i in range(DEPTH):
        for name, shape in {
            "norm1": (d,),
            "attn.qkv": (3 * d, d),
            "attn.proj": (d, d),
            "norm2": (d,),
            "mlp.fc1": (4 * d, d),
            "mlp.fc2": (d, 4 * d),
        }.items():
            found |= {f"blocks.{i}.{name}.weight": made(*shape), f"blocks.{i}.{name}.bias": made(shape[0])}
        found |= {f"blocks.{i}.ls{j}.gamma": made(d) for j in (1, 2)}
    return found


def main(folder):
    folder = Path(folder)
    file = folder / "model.safetensors"
    if not file.exists():  # in a process of its own, as its peak counts
        folder.mkdir(parents=True, exist_ok=True)
        config = {"architecture": "vit_large_patch16_224", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
        (folder / "config.json").write_text(json.dumps(config))
        write_safetensors(file, tensors())
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
