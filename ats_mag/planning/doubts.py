"""Where slides and labels will not carry the task, in words."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ats_mag.planning.division import count_classes
from ats_mag.planning.facts import Facts

FEW_PATIENTS = 20
FEW_OF_CLASS = 5
FOLLOWS = 0.5  # share of the slides beyond the largest class whose label an attribute must tell
CHANCE = 0.01  # and that by chance less often than so


def doubts(facts: Facts) -> list[str]:
    """Sentences on what had better be known before a model is trained."""
    return [*facts.manifest.attrs.get("notes", []), *_few(facts), *_sites(facts), *_scanners(facts), *_sizes(facts)]


def _few(facts: Facts) -> Iterator[str]:
    patients = facts.readable["patient_id"].nunique()
    if patients < FEW_PATIENTS:
        yield (
            f"there are {patients} patients only: intervals will be wide, and a model may learn each by heart. Below "
            f"{FEW_PATIENTS}, take the measures as a trial"
        )
    for name, count in count_classes(facts.readable, "patient_id").items():
        if count < FEW_OF_CLASS:
            yield f"the class {name!r} has {count} patient(s), fewer than {FEW_OF_CLASS}: it can hardly be learnt or measured"


def _sites(facts: Facts) -> Iterator[str]:
    """Sites without several classes; where all are such, nothing tells the hospital from the disease."""
    rows = facts.readable[facts.readable["site"] != ""]
    classes = rows.groupby("site")["label"].nunique()
    if len(classes) < 2:
        return
    if (classes == 1).all():
        yield (
            f"every one of the {len(classes)} sites has slides of one class only: a model can tell sites instead of classes, and no "
            "measure on these slides would show it"
        )
    elif told := told_by(rows["site"], rows["label"]):
        yield f"the label follows the site ({told}): compare with `splits.by_site: true`"


def _scanners(facts: Facts) -> Iterator[str]:
    labels = facts.manifest.set_index("slide_id")["label"]
    names = [slide.slide_id for slide in facts.slides]
    seen = {
        "resolution": [f"{slide.mpp:.2g} um/px" for slide in facts.slides],
        "vendor of the scanner": [slide.vendor for slide in facts.slides],
        "file format": [slide.suffix for slide in facts.slides],
        "levels of the files": [_levels(slide.downsamples) for slide in facts.slides],
    }
    for what, values in seen.items():
        if told := told_by(pd.Series(values, names), labels[names]):
            yield (
                f"the label follows the {what} ({told}): a model can tell scanners instead of classes. Take slides of each class "
                "from each scanner"
            )


def _levels(downsamples: tuple[float, ...]) -> str:
    return "downsamples " + " ".join(f"{x:.2g}" for x in downsamples)


def _sizes(facts: Facts) -> Iterator[str]:
    regular = {slide.slide_id for slide in facts.regular}
    small = [slide.slide_id for slide in facts.slides if slide.slide_id not in regular]
    if small:
        yield (
            f"{len(small)} slide(s) are less than a quarter as wide as the median ({', '.join(small[:5])}): coarse patches show "
            "what lies beside them"
        )
    finest = min(slide.mpp for slide in facts.slides)
    coarsest = max(facts.slides, key=lambda slide: slide.mpp)
    if coarsest.mpp > 2.1 * finest:
        yield (
            f"slide {coarsest.slide_id!r} is at {coarsest.mpp:.4g} um/px, others at {finest:.4g}: the finest magnification is the "
            "one that all have. Without the coarse slides a finer one could be planned"
        )


def told_by(attribute: pd.Series, labels: pd.Series) -> str:
    """How an attribute tells the label of most slides, in words; empty: it does not, or that may be chance."""
    from scipy.stats import chi2_contingency

    counts = pd.crosstab(attribute, labels)
    if min(counts.shape) < 2 or len(counts) > len(labels) / 2:
        return ""
    told, most, total = counts.max(axis=1).sum(), counts.sum().max(), int(counts.to_numpy().sum())
    if told - most < FOLLOWS * (total - most):
        return ""
    if told < total and chi2_contingency(counts).pvalue > CHANCE:
        return ""
    parts = [
        f"{value}: " + ", ".join(f"{count} {name}" for name, count in row.items() if count)
        for value, row in counts.iterrows()
    ]
    return "; ".join(parts[:5]) + ("; ..." if len(parts) > 5 else "")
