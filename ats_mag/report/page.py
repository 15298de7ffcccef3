"""One self-contained page about a run: predictions to search, measures with intervals, curves, and how it was made."""

from __future__ import annotations

import base64
import datetime
import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ats_mag.evaluation.baseline import WORDS
from ats_mag.evaluation.measures import measure_words
from ats_mag.model.heads import get_head
from ats_mag.report.examples import examples
from ats_mag.report.history import draw_history
from ats_mag.report.run_results import FIGURES, FoldResults, RunResults, read_results
from ats_mag.runs.layout import LEVELS
from ats_mag.system.atomic_files import write_whole

if TYPE_CHECKING:
    from ats_mag.runs.run import Run

_HEADLINE = ("auroc", "balanced_accuracy", "accuracy", "ece")


def write_report(run: Run) -> Path:
    """Writes `report.html` into the run's folder.

    Parts of the run that are not there yet are named on the page.

    Args:
        run: as it is stored.

    Returns:
        The file.

    Raises:
        ValueError: see `read_results`.
    """
    write_whole(run.layout.report, render(read_results(run)).encode())
    return run.layout.report


def render(results: RunResults) -> str:
    """The page, which loads nothing from anywhere; the same text for the same results.

    Names of slides, patients and classes are data: the template escapes them, and the page allows no script but its own.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ats_mag.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"measure": _measure, "number": _number}
    slides = [row for fold in results.folds for row in _rows(results, fold)]
    style, script = (_template(f"report.{kind}") for kind in ("css", "js"))
    return environment.get_template("report.html").render(
        run=results.run,
        name=results.name,
        style=style,
        script=script,
        allowed={"style": _hash(style), "script": _hash(script)},
        exclusive=results.exclusive,
        positive=get_head(results.run["config"]["model"]["head"]).positive_class(results.run["classes"]),
        classes=results.run["classes"],
        folds=results.folds,
        several=len(results.folds) > 1,
        evaluation=results.evaluation,
        missing=_missing(results),
        headline=_headline(results),
        baselines=_baselines(results),
        counts=None if results.counts is None else results.counts.to_dict("records"),
        words=measure_words(results.run["classes"]),
        levels=LEVELS,
        slides=slides,
        examples=examples(slides, results.pictures),
        times={f.fold: _duration(f.seconds) for f in results.folds if f.seconds is not None},
        total=_duration(sum(f.seconds for f in results.folds if f.seconds is not None)),
        curves=_curves(results),
        histories={f.fold: _uri(draw_history(f.history)) for f in results.folds if f.history is not None},
        sheets=results.sheets,
        flags=results.flags,
        configuration=yaml.safe_dump(results.run["config"], sort_keys=False, allow_unicode=True),
    )


def _missing(results: RunResults) -> list[str]:
    """What is not there, in words, with the command that makes it."""

    def some(folds: list[int]) -> str:
        return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"

    untrained = [f.fold for f in results.folds if not f.trained]
    unmeasured = [f.fold for f in results.folds if f.trained and f.metrics is None]
    notes = []
    if untrained:
        notes.append(f"No model yet of {some(untrained)}: ats-mag train")
    if unmeasured:
        notes.append(f"Not measured yet: {some(unmeasured)}: ats-mag evaluate")
    if not untrained and not unmeasured and results.evaluation is None:
        notes.append("Measures over all folds are not there yet: ats-mag evaluate")
    if any(f.metrics is not None and not f.figures for f in results.folds):
        notes.append("Curves were not drawn: evaluate.figures: true")
    return notes


def _headline(results: RunResults) -> list[tuple[str, dict[str, Any]]]:
    """The measures at the top: those that reports are best made of, see `across_folds`."""
    if results.evaluation is None:
        return []
    slides = results.evaluation["slides"]
    of = slides["mean"] if len(results.folds) > 1 else slides["pooled"]["measures"]
    words = measure_words(results.run["classes"])
    return [(words[name], of[name]) for name in _HEADLINE]


def _baselines(results: RunResults) -> list[str]:
    """What each baseline measures of the same test slides, in words."""
    found = (results.evaluation or {}).get("baseline") or {}
    words, sentences = measure_words(results.run["classes"]), []
    for name, one in found.items():
        if one is not None:
            values = {key: one["slides"].get(key) for key in _HEADLINE}
            listed = ", ".join(f"{words[key]} {value:.3f}" for key, value in values.items() if value is not None)
            sentences.append(f"{WORDS[name]}: {listed}")
    return sentences


def _rows(results: RunResults, fold: FoldResults) -> list[dict[str, Any]]:
    """The test slides of a fold, as the table shows them."""
    if fold.slides is None:
        return []
    rows = []
    for row in fold.slides.to_dict("records"):
        true, predicted = str(row["label"]), str(row["predicted"])
        same = true == predicted if results.exclusive else set(true.split(";")) == set(predicted.split(";"))
        rows.append(
            {
                "fold": fold.fold,
                "slide": row["slide_id"],
                "patient": row["patient_id"],
                "label": true,
                "predicted": predicted,
                "right": same,
                "exclusive": results.exclusive,
                "probabilities": [row[f"p_{name}"] for name in results.run["classes"]],
                "sheet": results.sheets.get(str(row["slide_id"])),
            }
        )
    return rows


def _curves(results: RunResults) -> list[dict[str, Any]]:
    """The figures: of all folds first where there are several, then of each fold."""
    groups = [("all folds", results.figures)] if results.figures else []
    groups += [(f"fold {f.fold}" if len(results.folds) > 1 else "", f.figures) for f in results.folds if f.figures]
    return [
        {"of": of, "figures": [(FIGURES[name], _uri(svg)) for name, svg in figures.items()]} for of, figures in groups
    ]


def _measure(measure: dict[str, Any] | None) -> str:
    if measure is None or measure["value"] is None:
        return "undefined"
    text = f"{measure['value']:.3f}"
    return text if measure["low"] is None else f"{text} ({measure['low']:.3f} to {measure['high']:.3f})"


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(datetime.timedelta(seconds=round(seconds)))


def _number(value: float) -> str:
    return "" if value != value else f"{value:.3f}"  # NaN: none was computed


def _template(name: str) -> str:
    return (resources.files("ats_mag.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
