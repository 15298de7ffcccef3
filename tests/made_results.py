"""A run with results, made without training: predictions are invented and measured as `evaluate` does it."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from ats_mag.config.reading import read_config
from ats_mag.evaluation import figures as drawing
from ats_mag.evaluation.evaluate import measure_predictions
from ats_mag.evaluation.folds import across_folds
from ats_mag.runs.run import Run
from ats_mag.system.atomic_files import digest

ATTACK = "<script>alert('slide')</script>"
CLASSES = ["benign", "<b>bold & bad</b>"]


def make_run(folder, folds=2, measured=None, head="single_label", figures=True, slides=24):
    """The configuration's path; of the folds, `measured` (default: all) are evaluated.

    Figures, which take seconds, are drawn of the first of them, and are the same of all.
    """
    drawn = []

    def draw(files, scored, found):
        if not drawn:
            draw_figures(files, scored, found)
            drawn.extend(files.folder.glob("*.svg"))
        elif files.folder != drawn[0].parent:
            for figure in drawn:
                shutil.copy(figure, files.folder)

    draw_figures = drawing.draw_figures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw_figures", draw)
        return _make_run(folder, folds, measured, head, figures, slides)


def _make_run(folder, folds, measured, head, figures, slides):
    (folder / "slides").mkdir(parents=True)
    random = np.random.default_rng(0)
    ids = [f"s{i:02}" for i in range(slides - 1)] + [ATTACK.replace("/", "")]
    labels = [CLASSES[i % 2] for i in range(slides)]
    table = pd.DataFrame({"slide_id": ids, "patient_id": [f"p{i // 2}" for i in range(slides)]})
    # Two slides of a patient have one label.
    table["label"] = [labels[i // 2] for i in range(slides)]
    table["path"] = [f"slide-{i}.tif" for i in range(slides)]
    table.to_csv(folder / "manifest.csv", index=False)
    kind = {"kind": "kfold", "folds": folds} if folds > 1 else {"kind": "holdout", "test": 0.5}
    values = {
        "run": "run",
        "data": {"slides": "slides", "manifest": "manifest.csv"},
        "splits": kind | {"validation": 0.2},
        "model": {"head": head},
        "evaluate": {"resamples": 100, "figures": figures},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    run = Run.open(read_config(folder / "config.yaml"))
    splits = run.splits
    for k in range(folds) if measured is None else measured:
        test = splits[splits[f"fold_{k}"] == "test"]
        truth = (test["label"] == CLASSES[1]).to_numpy(float)
        p = np.clip(0.2 + 0.6 * truth + random.normal(0, 0.25, len(truth)), 0.01, 0.99)
        draws = np.stack([1 - p, p], axis=-1)[None]
        about = {"fold": k, "classes": CLASSES, "head": head, "method": "topk", "without_record": [], "unreadable": {}}
        files = run.layout.fold(k)
        files.folder.mkdir()
        files.model.write_text("a model")
        about["model_sha256"] = digest(files.model)
        measure_predictions(run.config.evaluate, files, test[["slide_id", "patient_id", "label"]], draws, about)
        epochs = np.arange(4)
        history = {"epoch": epochs, "loss": 1 / (1 + epochs), "val_loss": 1.1 / (1 + epochs)}
        history |= {"accuracy": 0.5 + epochs / 10, "mass_0.5": 0.5 + epochs / 10, "mass_2": 0.5 - epochs / 10}
        pd.DataFrame(history).to_csv(files.history, index=False)
    if measured is None:
        across_folds(run)
    return folder / "config.yaml"
