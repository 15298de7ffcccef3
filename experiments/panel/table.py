"""The panel's tables, from its result files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cohort_runs.results import ALL, COLOUR, JOINT, LIGHT, SINGLE, UNIFORM, Run, runs_by_contestant, sweep
from experiments.common.result_files import RESULTS, load
from experiments.common.table import markdown
from experiments.panel.ablation import WORDS
from experiments.panel.cohorts import COHORTS

OUT = RESULTS / "panel"
BESIDE = {
    UNIFORM: "uniform, as many patches",
    ALL: "all patches",
    LIGHT: "25 fields of a light selection",
    COLOUR: "colour",
}


def panel(folder: Path = OUT) -> str:
    """A row per cohort: accuracy and AUC of joint sampling, least and most of the seeds, and what it is compared with.

    Raises:
        FileNotFoundError: nothing was run.
    """
    rows = []
    for name in COHORTS:
        if not (folder / name).exists():
            continue
        found = runs_by_contestant(folder / name)
        joint = list(found[JOINT].values())
        single = any(contestant.startswith(SINGLE) for contestant in found)
        rows.append(
            [
                name,
                str(len(joint)),
                _span(joint, "accuracy"),
                _span(joint, "auroc"),
                _mean(list(sweep(found).values())) if single else "",
                *(_mean(list(found.get(contestant, {}).values())) for contestant in BESIDE),
                *_places(joint),
            ]
        )
    if not rows:
        raise FileNotFoundError(f"nothing was run into {str(folder)!r}")
    if folder == OUT:
        rows.insert(0, _demo())
    head = ["", "seeds", "test accuracy", "AUC", "accuracy, best single magnification"]
    head += [f"accuracy, {words}" for words in BESIDE.values()]
    head += ["attention on the places", "... of it at their magnification"]
    known = [i for i in range(len(head)) if any(row[i] for row in rows)]  # what was not run is absent
    return markdown([head[i] for i in known], [[row[i] for i in known] for row in rows])


def _demo() -> list[str]:
    """The runs of `experiments.demo`, each of which makes slides of its own."""
    runs = load("demo-seed*.json")
    joint = "joint attention sampling"
    accuracy, auc = ([run[f"test_{kind}"][joint] for run in runs] for kind in ("accuracy", "auc"))
    accuracies = {name: np.mean([run["test_accuracy"][name] for run in runs]) for name in runs[0]["test_accuracy"]}
    beside = {UNIFORM: "uniform sampling, same N", COLOUR: "colour histograms of the overview"}
    places = [run["attention_on_places"] for run in runs]
    shares = (_least(places, lambda p: p["attention"]), _least(places, lambda p: p["share_on_its_magnification"]))
    spans = [_words(values) for values in (accuracy, auc)]
    others = [f"{accuracies[beside[name]]:.3f}" if name in beside else "" for name in BESIDE]
    return ["demo", str(len(runs)), *spans, "", *others, *shares]


def ablation(cohort: str, folder: Path = OUT) -> str:
    """A row per part of the recipe that is taken away.

    Raises:
        FileNotFoundError: nothing was run.
    """
    found = runs_by_contestant(folder / cohort)
    rows = [
        [WORDS[name], str(len(found[name])), *(_span(list(found[name].values()), m) for m in ("accuracy", "auroc"))]
        for name in WORDS
        if name in found
    ]
    return markdown([cohort, "seeds", "test accuracy", "AUC"], rows)


def _values(runs: Sequence[Run], measure: str) -> list[float]:
    return [float("nan") if (v := run["slides"]["measures"][measure]["value"]) is None else v for run in runs]


def _span(runs: Sequence[Run], measure: str) -> str:
    """The mean, least and most of the seeds."""
    values = _values(runs, measure)
    return _words(values) if values else ""


def _words(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" + (f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else "")


def _mean(runs: Sequence[Run]) -> str:
    return f"{np.mean(_values(runs, 'accuracy')):.3f}" if runs else ""


def _places(runs: Sequence[Run]) -> tuple[str, str]:
    """Attention on the places, and the share of it at the magnification of their cue: means over the kinds, the lowest seed's."""
    known = [run["places"] for run in runs if "places" in run]
    if not known:
        return "", ""
    return _least(known, lambda p: p["attention"]), _least(known, lambda p: p.get("share_on_its_magnification"))


def _least(places: Sequence[dict[str, Any]], of: Callable[[dict[str, Any]], float | None]) -> str:
    by_seed = [[value for place in kinds.values() if (value := of(place)) is not None] for kinds in places]
    return f"{min(np.mean(values) for values in by_seed):.2f}" if all(by_seed) else ""
