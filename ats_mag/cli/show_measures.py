"""Measures on the terminal."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from ats_mag.cli.console import console, say, show_error
from ats_mag.model.attention_words import UNIFORM, in_words

if TYPE_CHECKING:
    from ats_mag.runs.run import Run

_BASELINE = (
    "Baselines, on the same test slides: the commonest class of the training slides, and colour histograms of their overviews "
    "(logistic regression). A model that is no better has learnt no more than they tell."
)


@contextlib.contextmanager
def warnings_shown_once() -> Iterator[None]:
    """Within it, each warning of the evaluation is one line on standard error, the first time it comes."""
    from ats_mag.evaluation.scored_table import EvaluationWarning

    seen = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", EvaluationWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, EvaluationWarning):
                usual(message, category, *where, **more)
            elif str(message) not in seen:
                seen.add(str(message))
                show_error(str(message), "warning")

        warnings.showwarning = show
        yield


def show_fold(found: dict[str, Any]) -> None:
    """A fold's measures, as `evaluate_fold` gives them."""
    from ats_mag.model.heads import get_head

    levels = ("slides", "patients")
    counts = ", ".join(f"{found[level]['count']} {level}" for level in levels)
    beside = _baselines(found)
    table = Table("", *levels, *beside, title=f"Fold {found['fold']}: {counts}", title_justify="left", box=None)
    _add_rows(table, [*(found[level]["measures"] for level in levels), *beside.values()], found["classes"])
    console.print(table)
    positive = get_head(found["head"]).positive_class(found["classes"])
    if positive is not None:
        say(f"Positive class: {positive}.")
    attention = found.get("attention") or {}
    if attention.get("spread") is not None:
        say(f"Attention on the test slides: {in_words(attention['spread'], attention['mass'])}.")
        if attention["spread"] >= UNIFORM and found["method"] != "exhaustive":
            say(
                f"Of a uniform attention, {found['method']} takes places by chance: evaluate.method: exhaustive reads all."
            )
    notes = [_BASELINE] if beside else []
    notes += [f"In brackets: {_percent(found)} bootstrap intervals over patients."] if found["resamples"] else []
    undefined = max(m["undefined_resamples"] for level in levels for m in found[level]["measures"].values())
    if undefined:
        notes.append(
            f"In up to {undefined} of {found['resamples']} resamples a class was absent; intervals of what needs it rest on "
            "the others."
        )
    problem = (found.get("baseline") or {}).get("problem")
    if problem:
        notes.append(f"There are no baselines: {problem}")
    noise = found["sampling_noise"]
    if noise is not None:
        auroc = noise["measures"]["auroc"]
        single = f"{auroc['mean']:.3f} ± {auroc['sd']:.3f} (standard deviation)"
        if math.isnan(auroc["mean"]):
            single = "undefined"
        notes.append(
            f"{found['draws']} draws per slide: the median standard deviation of a probability is {noise['median_sd']:.3f}, "
            f"{100 * noise['changed']:.0f} % of the slides change their predicted class, the AUROC of a single draw is {single}."
        )
    elif found["draws"] < found["draws_asked"] and found["method"] in ("topk", "exhaustive"):
        notes.append(f"One draw per slide: {found['method']} takes the same patches every time, draws would not vary.")
    for note in notes:
        say(note)


def show_missing(run: Run, missing: list[int]) -> None:
    """That folds are not trained, so that what is measured is a part."""
    left = [k for k in run.folds if k not in missing]
    earlier = (
        f"; {run.layout.evaluation.name} is of an earlier evaluation, and stays"
        if run.layout.evaluation.exists()
        else ""
    )
    show_error(
        f"fold(s) {', '.join(map(str, missing))} are not trained (`ats-mag train`, `ats-mag cluster status`): what is measured "
        f"over fold(s) {', '.join(map(str, left))} goes to {run.layout.partial.name}{earlier}",
        "partial",
    )


def show_folds(found: dict[str, Any]) -> None:
    """Measures across folds, as `across_folds` gives them."""
    columns = [(level, way) for level in ("slides", "patients") for way in ("mean", "pooled")]
    beside = _baselines(found)
    some, partial = len(found["folds"]), found.get("partial")
    title = f"All {some} folds" if partial is None else f"PARTIAL: {some} of {partial['of']} folds"
    heads = [f"{level}, {way}" for level, way in columns]
    table = Table("", *heads, *beside, title=title, title_justify="left", box=None)
    measures = [found[level][way] if way == "mean" else found[level][way]["measures"] for level, way in columns]
    _add_rows(table, [*measures, *beside.values()], found["classes"])
    console.print(table)
    if beside:
        say(_BASELINE)
    say(
        f"Mean: over the folds, with {_percent(found)} t intervals. Pooled: all predictions together, with bootstrap "
        "intervals over patients."
    )


def _baselines(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the baselines measure of slides, by the head of their column."""
    from ats_mag.evaluation.baseline import WORDS

    there = {WORDS[name]: one for name, one in (found.get("baseline") or {}).items() if isinstance(one, dict)}
    return {
        f"slides, {words}": {
            name: {"value": math.nan if value is None else value, "low": math.nan, "high": math.nan}
            for name, value in one["slides"].items()
        }
        for words, one in there.items()
    }


def _add_rows(table: Table, columns: list[dict[str, Any]], classes: list[str]) -> None:
    from ats_mag.evaluation.measures import measure_words

    for name, words in measure_words(classes).items():
        table.add_row(escape(words), *(_text(column[name]) for column in columns))


def _text(measure: dict[str, Any]) -> str:
    value, low, high = (measure[key] for key in ("value", "low", "high"))
    if math.isnan(value):
        return "undefined"
    return f"{value:.3f}" + ("" if math.isnan(low) else f" ({low:.3f} to {high:.3f})")


def _percent(found: dict[str, Any]) -> str:
    return f"{100 * found['confidence']:g} %"
