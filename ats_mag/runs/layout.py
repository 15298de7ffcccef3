"""Where the files of a run lie: the one place that names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ats_mag.config.reading import read_config
from ats_mag.preparation.job import SHEETS

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig

LEVELS = ("slides", "patients")  # of results
_FOLD = "fold-"


class ResultFiles:
    """A folder of predictions and figures: of one fold, or of all.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def table(self, level: str) -> Path:
        """Predictions of a level of `LEVELS`."""
        return self.folder / f"{level}.csv"

    def figure(self, name: str) -> Path:
        """A figure, see `evaluation.figures`."""
        return self.folder / f"{name}.svg"


class FoldFiles(ResultFiles):
    """The files of one fold.

    Args:
        folder: of the fold.

    Attributes:
        number: of the fold; None: the folder is no fold's of a run.
        model: that was trained.
        history: the logs of every epoch.
        checkpoints: folder of what an interrupted training goes on from.
        bad_slides: slides that could not be read while training.
        tensorboard: folder of event files.
        metrics: what the model was found to be worth.
        lock: held by who trains. It lies beside the fold's folder, where any file means that training has begun.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        number = folder.name.removeprefix(_FOLD)
        self.number = int(number) if number.isdecimal() else None
        self.model = folder / "model.keras"
        self.history = folder / "history.csv"
        self.checkpoints = folder / "checkpoints"
        self.bad_slides = folder / "bad_slides.csv"
        self.tensorboard = folder / "tensorboard"
        self.metrics = folder / "metrics.json"
        self.lock = folder.parent / f".{folder.name}.lock"

    @property
    def is_trained(self) -> bool:
        """Whether the fold's training is complete."""
        return self.model.exists()

    def trained_model(self) -> Path:
        """The fold's model.

        Raises:
            FileNotFoundError: the fold is not trained.
        """
        if not self.is_trained:
            raise FileNotFoundError(
                f"fold {self.number} has no trained model, {str(self.model)!r} does not exist: run `ats-mag train` with this "
                "configuration"
            )
        return self.model


class RunLayout(ResultFiles):
    """The files of a run, or of results on its slides that something else than its models has.

    Args:
        folder: of the run.
        records: folder of the records. None: in the run's.

    Attributes:
        config: the configuration.
        run: what the run keeps about itself, see `run_file`.
        manifest: the slides.
        splits: the division of the patients.
        evaluation: measures over all folds.
        partial: the same over some of them, while not all are trained.
        report: the page about the run.
        validation: what `ats-mag validate` found.
        sheets: folder of the quality sheets.
        features: what a frozen encoder said of patches that were seen.
        logs: folder of what trainings on a cluster say; beside the folds' folders, where any file means that training has begun.
    """

    def __init__(self, folder: Path, records: Path | None = None) -> None:
        super().__init__(folder)
        self.records = folder / "records" if records is None else records
        self.sheets = self.records / SHEETS
        self.config = folder / "config.yaml"
        self.run = folder / "run.json"
        self.manifest = folder / "manifest.csv"
        self.splits = folder / "splits.csv"
        self.evaluation = folder / "evaluation.json"
        self.partial = folder / "evaluation-partial.json"
        self.report = folder / "report.html"
        self.validation = folder / "validation.json"
        self.features = folder / "features.cache"
        self.logs = folder / "logs"

    @classmethod
    def of(cls, config: RunConfig) -> RunLayout:
        """The layout of a configuration's run."""
        return cls(config.run, config.records)

    def fold(self, fold: int) -> FoldFiles:
        """The files of a fold."""
        return FoldFiles(self.folder / f"{_FOLD}{fold}")

    def log(self, fold: int) -> Path:
        """What a fold's trainings on a cluster say, one after the other."""
        return self.logs / f"{_FOLD}{fold}.log"

    def begun_folds(self) -> list[FoldFiles]:
        """The folds that have a folder."""
        return [FoldFiles(folder) for folder in sorted(self.folder.glob(f"{_FOLD}*"))]

    @property
    def is_trained(self) -> bool:
        """Whether training has begun: the folder of a fold holds a file."""
        return any(path.is_file() for fold in self.begun_folds() for path in fold.folder.rglob("*"))


def models_of(path: Path) -> list[Path]:
    """The models that a path stands for: of a run's folder or configuration the model of every fold, else the path itself.

    Raises:
        FileNotFoundError: a fold is not trained yet.
        ConfigError: of a configuration that cannot be used.
    """
    folder = read_config(path).run if path.suffix.lower() in (".yaml", ".yml") else path
    layout = RunLayout(folder)
    if folder == path and not layout.run.exists():
        return [path]
    folds = range(json.loads(layout.run.read_text())["folds"]) if layout.run.exists() else range(1)
    missing = [k for k in folds if not layout.fold(k).is_trained]
    if missing:
        raise FileNotFoundError(
            f"run {str(folder)!r} has no trained model of fold(s) {', '.join(map(str, missing))}, so that its folds cannot be "
            "averaged: run `ats-mag train` with its configuration, or give the model of one fold"
        )
    return [layout.fold(k).model for k in folds]
