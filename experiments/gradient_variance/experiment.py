"""Variance and bias of the attention's gradient against N, on the attention and features of real models.

    python -m experiments.gradient_variance runs/three-scales

For some test slides of `experiments.three_scales`, and a model before and after its training, the features of every cell are
computed. The exact derivative of the slide's loss by the expectation then makes a score of each cell, and the gradient by the
attention's logits is known exactly; each way of sampling estimates it from N draws, thousands of times (see
`experiments.estimators`). Writes `experiments/results/gradient-variance.json`. Draws are not stratified here, so that every
method stands alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf
import typer

import ats_mag
from ats_mag.tensors import Tensor
from experiments.common.gated_attention import read_bags
from experiments.common.quick import check_out
from experiments.common.result_files import RESULTS, kept
from experiments.estimators.derivative_02 import METHOD_02
from experiments.estimators.draws import moments
from experiments.three_scales.contestants import path_of
from experiments.three_scales.data import Cohort
from experiments.three_scales.model import classifier
from experiments.three_scales.settings import Settings

OUT = RESULTS / "gradient-variance.json"
METHODS = (METHOD_02, "sequential", "replacement", "priority")
CHUNK = 500  # draws at a time


def problem(model: ats_mag.SlideClassifier, inputs: dict[str, Tensor], label: int) -> tuple[np.ndarray, np.ndarray]:
    """Attention and scores of a slide's cells with tissue, at every magnification: `(K,)` each.

    The score of a cell is the product of its feature with the derivative of the loss by the exact expectation.
    """
    bag = next(read_bags(model, tf.data.Dataset.from_tensors(inputs)))
    attention = model.attend(inputs).numpy()[0][tuple(bag.cells.T)].astype("float64")
    attention /= attention.sum()
    features = np.concatenate(
        [model.features_of(bag.patches[None, i : i + 512]).numpy()[0] for i in range(0, len(bag.patches), 512)]
    )
    phi = tf.constant((attention @ features)[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(phi)
        loss = keras.losses.sparse_categorical_crossentropy(tf.constant([label]), model.activation(model.head(phi)))
    return attention, features @ tape.gradient(loss, phi).numpy()[0]


def measure(
    cohort: Cohort, settings: Settings, trained: Path, slides: int, ns: list[int], draws: int
) -> dict[str, Any]:
    """Every model, slide, method and N."""
    models = {"untrained": classifier(settings), "trained": ats_mag.load_model(trained)}
    rows = []
    for name, model in models.items():
        for number, (inputs, label) in enumerate(cohort.dataset("test", 1)):
            if number == slides:
                break
            attention, scores = problem(model, inputs, int(label[0]))
            about = {"model": name, "slide": number, "cells": len(attention)}
            about |= {"top_10_mass": float(np.sort(attention)[-10:].sum())}
            for n in ns:
                for method in METHODS:
                    rows.append(
                        {**about, "n": n, "method": method, **moments(method, attention, scores, n, draws, CHUNK)[0]}
                    )
            print(about, flush=True)
    return {"rows": rows}


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep.three_scale_slides.")] = Path(
        "runs/three-scales"
    ),
    number: Annotated[int, typer.Option(min=1, help="Test slides.")] = 8,
    draws: Annotated[int, typer.Option(min=CHUNK, help="Per method, N and slide.")] = 4000,
    out: Annotated[Path, typer.Option(help="Result file.")] = OUT,
    quick: Annotated[bool, typer.Option("--quick", help="One slide, few draws; choose another --out.")] = False,
) -> None:
    """Measures, unless the result is there."""
    check_out(quick, out, OUT)
    settings = Settings()
    trained = slides / "models" / path_of("joint, priority", settings.seed).with_suffix(".keras").name
    if not trained.exists():
        raise FileNotFoundError(f"{str(trained)!r} does not exist: run `python -m experiments.three_scales` first")
    number, draws, ns = (1, CHUNK, [4]) if quick else (number, draws, [2, 4, 8, 16, 32, 64])
    cohort = Cohort(slides, settings.overview_mpp)
    configuration = {"settings": settings.model_dump(), "slides": number, "draws": draws, "n": ns}
    kept(out, configuration, lambda: measure(cohort, settings, trained, number, ns, draws))
