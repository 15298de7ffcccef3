"""Measures across the folds of a run."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ats_mag.evaluation.baseline import mean_over_folds
from ats_mag.evaluation.evaluate import measure_tables, score_tables
from ats_mag.evaluation.result_files import read_table, write_json, write_table
from ats_mag.evaluation.scored_table import UndefinedMeasureWarning
from ats_mag.model.heads import get_head
from ats_mag.runs.layout import LEVELS, RunLayout
from ats_mag.system.atomic_files import digest

if TYPE_CHECKING:
    from ats_mag.config.schema import EvaluateConfig
    from ats_mag.evaluation.scored_table import Scored
    from ats_mag.runs.run import Run


def unmeasured_folds(run: Run, results: RunLayout | None = None) -> list[int]:
    """Folds of the run whose models `evaluate_fold` has not measured yet; `results` as for `across_folds`."""
    return [k for k in run.folds if not _measured(run, k, results)]


def _measured(run: Run, fold: int, results: RunLayout | None) -> bool:
    metrics = (results or run.layout).fold(fold).metrics
    if not metrics.exists():
        return False
    if results is not None:  # of something else than the run's models
        return True
    model = run.layout.fold(fold).model  # may have been trained anew since
    return not model.exists() or _read(metrics).get("model_sha256") == digest(model)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def across_folds(run: Run, results: RunLayout | None = None) -> dict[str, Any]:
    """Summarises the folds in two ways, which answer different questions.

    - `mean`: mean of the folds' values with a t interval, ``mean ± t s / sqrt(K)`` (K - 1 degrees of freedom), cut to
      0..1. It is about the *recipe*: what a model trained like these reaches, whichever patients it was trained on.
      Folds share training patients, so the interval is somewhat too narrow (no unbiased estimate of this variance
      exists: Bengio & Grandvalet, "No Unbiased Estimator of the Variance of K-Fold Cross-Validation", JMLR 5, 2004).
    - `pooled`: the folds' test predictions measured together, with the bootstrap over patients. It is about these
      *patients*, and is defined where single folds lack a class. Probabilities of several models are ranked against each
      other, so that AUROC and AUPRC fall where the models are calibrated differently (Forman & Scholz, "Apples-to-Apples
      in Cross-Validation Studies", SIGKDD Explorations 12, 2010).

    Reports are best made of `mean`; with a single fold (`holdout`) of `pooled`, which then is that fold's measure.

    Writes `evaluation.json` (what is returned, NaN as null), and the predictions of all folds with a column `fold` as
    `slides.csv` and `patients.csv`, into that folder.

    Args:
        run: whose folds are all measured.
        results: that the folds' results are in, and these go to. None: the run's.

    Returns:
        `folds`, `classes`, `head`, `confidence`, `resamples`, and for `slides` and `patients`: `mean`, per measure a dict
        of `value`, `low`, `high` and `values` of each fold (means are over those that are defined; an interval needs
        two), and `pooled`, as `measure_level` gives it; and where the folds have it, `baseline`, see
        `baseline.mean_over_folds`.

    Raises:
        FileNotFoundError: a fold is not measured yet, or its model is another by now.
        ValueError: folds were measured with different classes, or in different ways.

    Warns:
        UndefinedMeasureWarning: of measures that are undefined in some or all folds.
    """
    files, options = results or run.layout, run.config.evaluate
    missing = unmeasured_folds(run, results)
    if missing:
        names = ", ".join(map(str, missing))
        raise FileNotFoundError(
            f"fold(s) {names} of {str(run.config.run)!r} are not measured yet: run `ats-mag evaluate`"
        )
    result, tables, scored = _summarise(options, files, run.folds, "all folds")
    for level in LEVELS:
        write_table(tables[level], files.table(level))
    if options.figures and len(run.folds) > 1:
        from ats_mag.evaluation.figures import draw_figures

        draw_figures(files, scored, result | {level: result[level]["pooled"] for level in LEVELS})
    write_json(result, files.evaluation)
    files.partial.unlink(missing_ok=True)
    return result


def across_some_folds(run: Run, missing: Sequence[int]) -> dict[str, Any]:
    """Summarises the folds of a run that are measured, while others are not.

    Writes `evaluation-partial.json`, which says what is missing. It touches nothing that `across_folds` writes, and goes
    when that has all folds.

    Args:
        run: of whose folds some are measured.
        missing: folds to leave out.

    Returns:
        As `across_folds`, of the other folds; first of all `partial`: `missing`, and `of`, the number of all folds.

    Raises:
        FileNotFoundError: another fold is not measured, or none is left.
        ValueError: as `across_folds`.

    Warns:
        UndefinedMeasureWarning: as `across_folds`.
    """
    folds = [k for k in run.folds if k not in missing]
    if not folds or set(unmeasured_folds(run)) & set(folds):
        raise FileNotFoundError(f"folds of {str(run.config.run)!r} are not measured yet: run `ats-mag evaluate`")
    summary, _, _ = _summarise(run.config.evaluate, run.layout, folds, f"{len(folds)} of {len(run.folds)} folds")
    result = {"partial": {"missing": list(missing), "of": len(run.folds)}, **summary}
    write_json(result, run.layout.partial)
    return result


def _summarise(
    options: EvaluateConfig, files: RunLayout, folds: list[int], name: str
) -> tuple[dict[str, Any], dict[str, pd.DataFrame], dict[str, Scored]]:
    """The summary of folds, their predictions together by level, and the same beside their truth."""
    found = [_read(files.fold(k).metrics) for k in folds]
    first = found[0]
    for k, other in zip(folds, found, strict=True):
        if (other["classes"], other["head"]) != (first["classes"], first["head"]):
            raise ValueError(
                f"fold {k} has other classes ({', '.join(other['classes'])}) than fold {folds[0]} "
                f"({', '.join(first['classes'])}): train and evaluate all folds with one configuration"
            )
        if (other["method"], other["draws"]) != (first["method"], first["draws"]):
            raise ValueError(
                f"fold {k} was measured otherwise ({other['method']}, {other['draws']} draws per slide) than fold {folds[0]} "
                f"({first['method']}, {first['draws']}): run `ats-mag evaluate` without --fold"
            )
    result: dict[str, Any] = {
        "folds": folds,
        "classes": first["classes"],
        "head": first["head"],
        "confidence": options.confidence,
        "resamples": options.resamples,
    }
    if any(fold.get("baseline") for fold in found):
        result["baseline"] = mean_over_folds([fold.get("baseline") for fold in found])
    tables = {level: _pool(files, folds, level) for level in LEVELS}
    scored = score_tables(tables, name, first["classes"], get_head(first["head"]).exclusive)
    with warnings.catch_warnings():
        if len(folds) == 1:  # the fold's own warnings have said it
            warnings.simplefilter("ignore", UndefinedMeasureWarning)
        pooled = measure_tables(scored, options)
        of_folds = {level: [fold[level]["measures"] for fold in found] for level in LEVELS}
        means = {level: _means(of_folds[level], folds, f"{name}, {level}", options.confidence) for level in LEVELS}
    for level in LEVELS:
        result[level] = {"mean": means[level], "pooled": pooled[level]}
    return result, tables, scored


def _pool(files: RunLayout, folds: list[int], level: str) -> pd.DataFrame:
    tables = []
    for k in folds:
        table = read_table(files.fold(k).table(level))
        table.insert(0, "fold", k)
        tables.append(table)
    # A fold without test slides has columns, but no types.
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def _means(of_folds: list[dict[str, Any]], folds: list[int], whose: str, confidence: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    undefined: dict[tuple[int, ...], list[str]] = {}
    for name in of_folds[0]:
        values = [float("nan") if fold[name]["value"] is None else fold[name]["value"] for fold in of_folds]
        absent = tuple(k for k, value in zip(folds, values, strict=True) if math.isnan(value))
        if absent:
            undefined.setdefault(absent, []).append(name)
        mean, low, high = t_interval(np.array(values), confidence)
        found[name] = {"value": mean, "low": low, "high": high, "values": values}
    for absent, names in undefined.items():
        every = len(absent) == len(folds)
        effect = "there is no mean" if every else f"means are over the other {len(folds) - len(absent)}"
        warnings.warn(
            f"{whose}: undefined in fold(s) {', '.join(map(str, absent))}, so that {effect}: {', '.join(names)}",
            UndefinedMeasureWarning,
            stacklevel=3,
        )
    return found


def t_interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Mean of measures in 0..1 and its t interval, cut to 0..1.

    Args:
        values: `(K,)`; NaN are left out.
        confidence: of the interval.

    Returns:
        Mean, lower and upper bound; NaN where there is no value, and for the bounds where there is only one.
    """
    from scipy import stats

    values = values[~np.isnan(values)]
    if not len(values):
        return (float("nan"),) * 3
    mean = float(values.mean())
    if len(values) == 1:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)
