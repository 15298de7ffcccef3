"""Variance and bias of the attention's gradient against N, on the attention and features of real models.

    python experiments/gradient_variance.py runs/three-scales

For some test slides of `three_scales.py`, and a model before and after its training, the features of every cell are computed. The
exact derivative of the slide's loss by the expectation then makes a score of each cell, and the gradient by the attention's
logits is known exactly; each way of sampling estimates it from N draws, thousands of times (`estimators.py`). Writes
`experiments/results/gradient-variance.json`. Draws are not stratified here, so that every method stands alone.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import typer
from estimators import logit_gradients
from gated_attention import read_bags
from result_files import RESULTS, kept
from three_scales import path_of
from three_scales_data import Cohort
from three_scales_model import Settings, classifier

import ats_mag
from ats_mag.cli.script import run_script

METHODS = ("attention-sampling 0.2", "sequential", "replacement", "priority")
CHUNK = 500  # draws at a time


def problem(model: ats_mag.SlideClassifier, inputs: dict[str, Any], label: int) -> tuple[np.ndarray, np.ndarray]:
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


def moments(method: str, attention: np.ndarray, scores: np.ndarray, n: int, draws: int) -> dict[str, float]:
    """Relative variance and bias of the logit gradient, and the Monte-Carlo error of the bias."""
    truth = attention * (scores - attention @ scores)
    mean, square = np.zeros(len(attention)), 0.0
    for seed in range(draws // CHUNK):
        found = logit_gradients(method, attention, scores, n, CHUNK, seed)
        mean += found.sum(axis=0) / draws
        square += (found**2).sum() / draws
    variance, norm = square - mean @ mean, np.linalg.norm(truth)
    return {
        "relative_variance": float(variance / norm**2),
        "relative_bias": float(np.linalg.norm(mean - truth) / norm),
        "monte_carlo_error_of_bias": float(math.sqrt(variance / draws) / norm),
        "cosine": float(mean @ truth / np.linalg.norm(mean) / norm),
    }


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
                    rows.append({**about, "n": n, "method": method, **moments(method, attention, scores, n, draws)})
            print(about, flush=True)
    return {"rows": rows}


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep/three_scale_slides.py.")] = Path(
        "runs/three-scales"
    ),
    number: Annotated[int, typer.Option(min=1, help="Test slides.")] = 8,
    draws: Annotated[int, typer.Option(min=CHUNK, help="Per method, N and slide.")] = 4000,
    out: Annotated[Path, typer.Option(help="Result file.")] = RESULTS / "gradient-variance.json",
    quick: Annotated[bool, typer.Option("--quick", help="One slide, few draws; choose another --out.")] = False,
) -> None:
    """Measures, unless the result is there."""
    settings = Settings()
    trained = slides / "models" / path_of("joint, priority", settings.seed).with_suffix(".keras").name
    if not trained.exists():
        raise FileNotFoundError(f"{str(trained)!r} does not exist: run experiments/three_scales.py first")
    number, draws, ns = (1, CHUNK, [4]) if quick else (number, draws, [2, 4, 8, 16, 32, 64])
    cohort = Cohort(slides, settings.overview_mpp)
    configuration = {"settings": settings.model_dump(), "slides": number, "draws": draws, "n": ns}
    kept(out, configuration, lambda: measure(cohort, settings, trained, number, ns, draws))


if __name__ == "__main__":
    run_script(main)
