"""Dividing patients into folds and parts, so that every part has its share of every class.

A patient is one unit, whatever slides they have, and goes by the rarest of the labels of these (a set of labels, "a;b",
counts as several): rare classes are what a division must not lose.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ats_mag.cohort.columns import PART_OF
from ats_mag.cohort.label_sets import label_parts

if TYPE_CHECKING:
    from ats_mag.config.schema import SplitConfig


_VALIDATION = 1  # stream of random numbers


class SplitError(ValueError):
    """Patients that cannot be divided as asked, or a stored division that cannot be used; with the mend."""


def divide(manifest: pd.DataFrame, settings: SplitConfig) -> pd.DataFrame:
    """Divides the slides of a manifest by patient; the same seed gives the same division.

    `kfold` is scikit-learn's `StratifiedKFold` over patients, by site its `StratifiedGroupKFold`. A share is drawn from
    each class alike, to within one patient; by site, whole sites are drawn that come nearest to it.

    Args:
        manifest: as `load_manifest` gives it.
        settings: how.

    Returns:
        As `load_splits`.

    Raises:
        SplitError: there are too few patients or sites; or no sites or parts, where the manifest should name them.
    """
    patients = _patients(manifest, settings.by_site)
    draw = _draw_sites if settings.by_site else _draw_patients
    if settings.kind == "manifest":
        parts = manifest_parts(manifest).groupby(manifest["patient_id"]).first()
        folds = [parts.reindex(patients.index).astype(object)]
    elif settings.kind == "kfold":
        folds = _kfold(patients, settings)
    else:
        folds = [pd.Series("train", patients.index, dtype=object)]
        folds[0][draw(patients, settings.test, settings.seed, "splits.test")] = "test"
    splits = manifest[["slide_id", "patient_id", "label"]].copy()
    if (manifest["site"] != "").any():
        splits["site"] = manifest["site"]
    for i, parts in enumerate(folds):
        if settings.kind != "manifest" or not (parts == "validation").any():
            rest = patients[parts == "train"]
            parts[draw(rest, settings.validation, _spawned(settings.seed, i), "splits.validation")] = "validation"
        if not (parts == "train").any():
            raise SplitError(
                f"no patient is left for training in fold {i}: lower `splits.test` and `splits.validation`"
            )
        splits[f"fold_{i}"] = manifest["patient_id"].map(parts)
        if settings.by_site:
            _check_sites(splits["site"], splits[f"fold_{i}"])
    return splits.reset_index(drop=True).astype(object)


def _spawned(seed: int, fold: int) -> int:
    """A seed of the fold's validation part: its draw shares no numbers with that of another fold, part or seed."""
    return int(np.random.SeedSequence([seed, fold, _VALIDATION]).generate_state(1)[0])


def _patients(manifest: pd.DataFrame, by_site: bool) -> pd.DataFrame:
    """A row per patient, sorted: `label`, the rarest of theirs, and `site`."""
    slides = manifest.assign(label=manifest["label"].map(label_parts)).explode("label")
    of_labels = slides.groupby("label")["patient_id"].nunique()
    rarity = {name: rank for rank, name in enumerate(sorted(of_labels.index, key=lambda name: (of_labels[name], name)))}
    slides = slides.assign(rank=slides["label"].map(rarity)).sort_values(["patient_id", "rank"], kind="stable")
    patients = slides.groupby("patient_id").first()[["label", "site"]]
    patients["label"] = patients["label"].fillna("")  # an empty set of labels
    if by_site:
        nowhere = manifest["slide_id"][manifest["site"] == ""]
        if len(nowhere):
            raise SplitError(
                f"`splits.by_site` needs the site of every slide; {len(nowhere)} have none, the first {nowhere.iloc[0]!r}: "
                "fill the manifest's column `site`, or name it in `data.columns.site`"
            )
        sites = manifest.groupby("patient_id")["site"].unique()
        travelled = sites[sites.map(len) > 1]
        if len(travelled):
            raise SplitError(
                f"patient {travelled.index[0]!r} has slides of several sites ({', '.join(travelled.iloc[0])}), which "
                "`splits.by_site` cannot keep apart: give all slides of a patient one site"
            )
    return patients


def manifest_parts(manifest: pd.DataFrame) -> pd.Series:
    """The part that the manifest's column `split` names, of every slide: train, validation or test.

    Raises:
        SplitError: it names none.
    """
    parts = manifest["split"].str.lower().map(PART_OF)
    wrong = manifest[parts.isna()]
    if len(wrong):
        raise SplitError(
            f"`splits.kind: manifest` needs train, validation or test as `split` of every slide; slide "
            f"{wrong['slide_id'].iloc[0]!r} and {len(wrong) - 1} more have others, such as {wrong['split'].iloc[0]!r}"
        )
    return parts


def _check_sites(sites: pd.Series, parts: pd.Series) -> None:
    """That each is in one part, also where the manifest decides."""
    of_site = parts.groupby(sites).unique()
    torn = of_site[of_site.map(len) > 1]
    if len(torn):
        raise SplitError(
            f"site {torn.index[0]!r} and {len(torn) - 1} more stand in several parts ({', '.join(torn.iloc[0])}), as the "
            "manifest's column `split` says: correct it, or set `splits.by_site: false`"
        )


def _kfold(patients: pd.DataFrame, settings: SplitConfig) -> list[pd.Series]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    sites = patients["site"] if settings.by_site else None
    units, what = (len(patients), "patients") if sites is None else (sites.nunique(), "sites")
    most = patients["label"].value_counts().max()
    if settings.folds > min(units, most):
        raise SplitError(
            f"`splits.folds` is {settings.folds}, but there are {units} {what}, at most {most} patients of a class: lower it"
        )
    maker = StratifiedKFold if sites is None else StratifiedGroupKFold
    splitter = maker(settings.folds, shuffle=True, random_state=settings.seed)
    folds = []
    with warnings.catch_warnings():
        # That a class has fewer patients than there are folds: `splits.check_fold` says where that matters.
        warnings.simplefilter("ignore", UserWarning)
        for _, test in splitter.split(patients, patients["label"], sites):
            parts = pd.Series("train", patients.index, dtype=object)
            parts.iloc[test] = "test"
            folds.append(parts)
    empty = [i for i, parts in enumerate(folds) if not (parts == "test").any()]
    if empty:
        raise SplitError(
            f"fold {empty[0]} would have no {what} to test on: lower `splits.folds`, or set `splits.by_site: false`"
        )
    return folds


def _draw_patients(patients: pd.DataFrame, share: float, seed: int, key: str) -> pd.Index:
    """Patients of every class, as many as their share, rounded so that the sum is right.

    scikit-learn's `StratifiedShuffleSplit` does the same, but refuses classes of a single patient and shares of fewer
    patients than there are classes.
    """
    if share == 0:
        return patients.index[:0]
    if len(patients) < 2:
        raise SplitError(
            f"`{key}` is {share:g}, but there are only {len(patients)} patient(s) to draw from: set it to 0"
        )
    rng = np.random.default_rng(seed)
    total = min(max(1, round(share * len(patients))), len(patients) - 1)
    classes = patients["label"].value_counts().sort_index()
    wanted = classes * total / len(patients)
    counts = np.floor(wanted).astype(int)
    # The largest remainders get one more, but the last patient of a class stays as long as there are others.
    luck = dict(zip(classes.index, rng.random(len(classes)), strict=True))

    def order_of(name: str) -> tuple[bool, float, float]:
        return bool(counts[name] + 1 >= classes[name]), float(counts[name] - wanted[name]), luck[name]

    order = sorted(classes.index, key=order_of)
    for name in order[: total - counts.sum()]:
        counts[name] += 1
    drawn = [rng.permutation(patients.index[patients["label"] == name])[: counts[name]] for name in classes.index]
    return pd.Index(np.concatenate(drawn), dtype=object)


def _draw_sites(patients: pd.DataFrame, share: float, seed: int, key: str) -> pd.Index:
    """The patients of some sites: of the parts that scikit-learn makes of the sites, the one nearest to the share."""
    from sklearn.model_selection import StratifiedGroupKFold

    if share == 0:
        return patients.index[:0]
    sites = patients["site"].nunique()
    if sites < 2:
        raise SplitError(
            f"`{key}` is {share:g}, but there are only {sites} site(s) to draw from: set it to 0, or `by_site: false`"
        )
    smaller = min(share, 1 - share)
    most = int(patients["label"].value_counts().max())
    parts = max(2, min(round(1 / max(smaller, 1 / len(patients))), sites, most))
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    classes = patients["label"].value_counts(normalize=True)

    def distance(members: np.ndarray) -> float:
        """From a part that has the share of every class."""
        own = patients["label"].iloc[members].value_counts() / len(patients)
        return float((own.reindex(classes.index, fill_value=0) - smaller * classes).abs().sum())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = [
            members for _, members in splitter.split(patients, patients["label"], patients["site"]) if len(members)
        ]
    if len(found) < 2:
        raise SplitError(f"the sites cannot be divided for `{key}`: set it to 0, or `by_site: false`")
    members = patients.index[min(found, key=distance)]
    return members if smaller == share else patients.index.difference(members)
