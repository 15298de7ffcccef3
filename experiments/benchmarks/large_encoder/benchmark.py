"""What `predict` takes with an encoder of ViT-L/16's size, as UNI and Phikon-v2 are: patches read, seconds, memory.

    python -m experiments.benchmarks.large_encoder SLIDE [--folder FOLDER] [--out FILE]

writes `experiments/results/large-encoder.json`. The weights are random (1.2 GB, written into FOLDER once): times do not depend on them.
The model looks at 16 patches of 224 px at 0.5 and 2 um/px. What all patches of both magnifications would take is extrapolated from 64 of
them, read and encoded the same way.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

import ats_mag
from ats_mag.model.built_in_networks import attention_network
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.prediction.predictor import Predictor
from experiments.common.arguments import new_parser
from experiments.common.random_encoder import write_random_vit_large
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show

OVERVIEW_MPP, STRIDE, N_PATCHES, MEASURED = 8.0, 16, 16, 64
MAGNIFICATIONS = (0.5, 2.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.large_encoder", __doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/random-vit-large"), help="of the weights and the model"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "large-encoder.json")
    options = parser.parse_args(arguments)
    write_random_vit_large(options.folder)

    begun = time.perf_counter()
    encoder = ats_mag.encoder(options.folder, 224, pool="cls")
    loaded = time.perf_counter() - begun
    keras.utils.set_random_seed(0)
    model = ats_mag.SlideClassifier(
        ["negative", "positive"],
        MAGNIFICATIONS,
        224,
        N_PATCHES,
        OVERVIEW_MPP,
        attention=attention_network(len(MAGNIFICATIONS), STRIDE, saliency=ats_mag.Recipe.known().saliency),
        feature=ats_mag.AdaptedEncoder(encoder, ats_mag.adapter(encoder.output_shape[-1])),
        normalize_features=False,
    )
    model.save(options.folder / "model.keras")
    predict = Predictor(options.folder / "model.keras")
    predict(str(options.slide))  # traces
    begun = time.perf_counter()
    predict(str(options.slide))
    seconds = time.perf_counter() - begun

    inputs = slide_inputs([str(options.slide)], OVERVIEW_MPP, model.overview_multiple)
    valid = keras.ops.convert_to_numpy(model.cells(inputs["mask"]))[0]
    cells = np.array([(*cell, m) for m in range(len(MAGNIFICATIONS)) for cell in np.argwhere(valid)], np.int32)
    chosen = np.random.default_rng(0).permutation(cells)[:MEASURED]
    begun = time.perf_counter()
    patches, _ = model.read(inputs, chosen[None])
    model.feature.encode(patches[0])
    each = (time.perf_counter() - begun) / len(chosen)
    found = {
        "slide": options.slide.name,
        "parameters": int(sum(np.prod(v.shape) for v in encoder.variables)),
        "loaded_seconds": loaded,
        "model_file_bytes": (options.folder / "model.keras").stat().st_size,
        "patches": N_PATCHES,
        "predict_seconds": seconds,
        "every_patch": {
            "patches": len(cells),
            "measured": len(chosen),
            "seconds_each": each,
            "extrapolated_seconds": each * len(cells),
        },
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "versions": versions("ats-mag", "tensorflow", "keras"),
    }
    write(options.out, found)
    show(
        options.slide.name,
        ["", "patches", "seconds"],
        [
            ["predict", str(N_PATCHES), f"{seconds:.0f}"],
            ["every patch, extrapolated", str(len(cells)), f"{each * len(cells):.0f}"],
        ],
    )
