"""What a run keeps about itself: its configuration, versions, seeds, classes, manifest and the state of its slides."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ats_mag.cohort.fingerprints import changed_slides, fingerprints, is_damaged
from ats_mag.cohort.manifest import COLUMNS, class_list
from ats_mag.cohort.splits import FILE as SPLITS_FILE
from ats_mag.cohort.splits import fold_names, splits_content
from ats_mag.config.changes import changed_keys, value_at
from ats_mag.config.schema import RunConfig, resolve_paths
from ats_mag.model.heads import get_head
from ats_mag.system.versions import versions
from ats_mag.system.whole_file import digest, write_whole

CONFIG_FILE, RUN_FILE, MANIFEST_FILE = "config.yaml", "run.json", "manifest.csv"
FOLDS = "fold-*"
BAD_SLIDES_FILE = "bad_slides.csv"  # of a fold


class RunError(ValueError):
    """A run's folder that cannot be used with this configuration; the message names what differs and the mend."""


def start_run(config: RunConfig, manifest: pd.DataFrame, splits: pd.DataFrame) -> None:
    """Writes `config.yaml`, `manifest.csv`, `run.json` and `splits.csv` into the run's folder, or compares them.

    Every command calls it before anything that takes long. As long as nothing was trained (no folder `fold-*` holds a
    file), changes are taken over; then only those that leave results comparable.

    Args:
        config: of the run.
        manifest: as `load_manifest` gives it.
        splits: as `load_splits` gives it.

    Warns:
        UserWarning: slides that were trained on cannot be read any more.

    Raises:
        RunError: the run was begun with other settings, slides or labels; or the division was made with others.
    """
    content = splits_content(config, splits)
    problems = differences(config, manifest, splits)
    if problems:
        raise RunError(_refusal(config, problems))
    before = _read_json(config.run / RUN_FILE) or {}
    values = config.model_dump(mode="json")
    slides = fingerprints(manifest, config.data.slides, before.get("slides", {}))
    if is_trained(config):
        known = before.get("slides", {})
        _, broken = _slide_changes(config, manifest, known)
        # So that they are known when they are whole again.
        slides |= {slide_id: known[slide_id] for slide_id in broken}
        if broken:
            warnings.warn(f"the files of {len(broken)} slide(s) have been damaged: {_some(broken)}", stacklevel=2)
    run = {
        "versions": versions(),
        "seeds": {"splits": config.splits.seed, "train": config.train.seed},
        "classes": _classes(config, manifest),
        "label_mapping": config.data.labels or {label: label for label in sorted(set(manifest["label"]))},
        "left_out": manifest.attrs.get("left_out", {}),
        "notes": manifest.attrs.get("notes", []),
        "folds": len(fold_names(splits)),
        "splits_sha256": hashlib.sha256(content).hexdigest(),
        "splits_made_with": values["splits"],
        "slides": slides,
        "config": values,
    }
    if all(before.get(name) == value for name, value in run.items()):
        _store_splits(config, content)
        return
    start = {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "versions": run["versions"]}
    run["starts"] = [*before.get("starts", []), start]
    resolved = resolve_paths(config, Path.cwd()).model_dump(mode="json")
    config.run.mkdir(parents=True, exist_ok=True)
    write_whole(config.run / MANIFEST_FILE, manifest[list(COLUMNS)].to_csv(index=False).encode())
    write_whole(config.run / CONFIG_FILE, yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).encode())
    write_whole(config.run / RUN_FILE, (json.dumps(run, indent=2, ensure_ascii=False) + "\n").encode())
    # Last: a division whose settings are not in `run.json` would pass for one that was made with any.
    _store_splits(config, content)


def read_run(config: RunConfig) -> dict[str, Any]:
    """What `start_run` stored: `classes` (in the order of the model's outputs), `versions`, `seeds`, `slides`...

    Raises:
        RunError: the run was not started, or its file is damaged.
    """
    run = _read_json(config.run / RUN_FILE)
    if run is None:
        raise RunError(f"{str(config.run)!r} holds no run ({RUN_FILE} is not there): run `ats-mag prepare` first")
    return run


def is_trained(config: RunConfig) -> bool:
    """Whether training has begun: a folder `fold-*` holds a file."""
    return any(path.is_file() for folder in config.run.glob(FOLDS) for path in folder.rglob("*"))


def differences(config: RunConfig, manifest: pd.DataFrame, splits: pd.DataFrame | None = None) -> list[str]:
    """What is not as the run was begun with, and must be: of the configuration, the division, the manifest, the slides.

    Args:
        config: as it is now.
        manifest: as `load_manifest` gives it now.
        splits: as `load_splits` gives it. None: what is stored.

    Returns:
        One sentence each; none where the run can go on, or was not begun.

    Raises:
        RunError: the run's own file is damaged.
    """
    run = _read_json(config.run / RUN_FILE)
    if run is None:
        return []
    values, division = config.model_dump(mode="json"), _division(config, splits)
    if not is_trained(config):
        changed = changed_keys(run["splits_made_with"], values["splits"], "splits")
        if not changed or division != run["splits_sha256"]:
            return []
        return [
            f"{SPLITS_FILE} was made with other settings ({_some(changed)}): remove {str(config.run / SPLITS_FILE)!r} to "
            "have the patients divided anew"
        ]
    problems = [
        f"{key} was {value_at(run['config'], key)!r} and is {value_at(values, key)!r}"
        for key in changed_keys(run["config"], values)
    ]
    if division != run["splits_sha256"]:
        problems.append(f"{SPLITS_FILE} is not the division that was trained on")
    problems += _manifest_changes(config.run / MANIFEST_FILE, manifest)
    if _classes(config, manifest) != run["classes"]:
        problems.append(f"the classes were {', '.join(run['classes'])} and are {', '.join(_classes(config, manifest))}")
    replaced, _ = _slide_changes(config, manifest, run["slides"])
    if replaced:
        problems.append(f"the files of {len(replaced)} slide(s) have changed: {_some(replaced)}")
    return problems


def _slide_changes(
    config: RunConfig, manifest: pd.DataFrame, known: dict[str, dict[str, Any]]
) -> tuple[list[str], list[str]]:
    """Ids of slides in place of which there are others, and of such that broke.

    Slides that were never read may have become whole: those that could not be prepared, or turned out unreadable while
    training.
    """
    from ats_mag.preparation.state import read_state

    unread = set()
    for file in config.run.glob(f"{FOLDS}/{BAD_SLIDES_FILE}"):
        unread |= set(pd.read_csv(file, dtype=str, keep_default_na=False)["slide_id"])
    paths = dict(zip(manifest["slide_id"], manifest["path"], strict=True))
    replaced: list[str] = []
    broken: list[str] = []
    for slide_id in changed_slides(manifest, config.data.slides, known):
        state = read_state(config.records, slide_id)
        if slide_id in unread or (state.status == "failed" and state.source is None):
            continue
        path = os.path.join(config.data.slides, paths[slide_id])
        damaged = is_damaged(path, known[slide_id]["size"], config.train.on_bad_slide == "skip")
        (broken if damaged else replaced).append(slide_id)
    return replaced, broken


def _refusal(config: RunConfig, problems: list[str]) -> str:
    listed = "\n".join(f"  {problem}" for problem in problems)
    if not is_trained(config):
        return f"the run {str(config.run)!r} cannot go on:\n{listed}"
    return (
        f"the run {str(config.run)!r} was begun otherwise, and its results would not be comparable:\n{listed}\n"
        "Undo this, or use another `run` folder (with `prepare.records` naming the records, where these stay the same)"
    )


def _classes(config: RunConfig, manifest: pd.DataFrame) -> list[str]:
    return class_list(manifest, not get_head(config.model.head).exclusive, config.data.labels)


def _division(config: RunConfig, splits: pd.DataFrame | None) -> str | None:
    """Tells one `splits.csv` from another; None: it is not stored, and not to be."""
    file = config.run / SPLITS_FILE
    if splits is not None:
        return hashlib.sha256(splits_content(config, splits)).hexdigest()
    return digest(file) if file.exists() else None


def _store_splits(config: RunConfig, content: bytes) -> None:
    if not (config.run / SPLITS_FILE).exists():
        write_whole(config.run / SPLITS_FILE, content)


def _manifest_changes(file: Path, manifest: pd.DataFrame) -> list[str]:
    before = pd.read_csv(file, dtype=str, keep_default_na=False).set_index("slide_id")
    now = manifest[list(COLUMNS)].set_index("slide_id")
    problems = []
    for slides, what in (
        (now.index.difference(before.index), "new to the manifest"),
        (before.index.difference(now.index), "no more in the manifest"),
    ):
        if len(slides):
            problems.append(f"{len(slides)} slide(s) are {what}: {_some(slides)}")
    both = now.index.intersection(before.index)
    for name in ("patient_id", "label", "mpp"):
        then, new = before.loc[both, name], now.loc[both, name]
        if name == "mpp":
            then, new = pd.to_numeric(then).fillna(0), new.fillna(0)
        changed = both[then.to_numpy() != new.to_numpy()]
        if len(changed):
            problems.append(f"the {name} of {len(changed)} slide(s) has changed: {_some(changed)}")
    return problems


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(run, dict) or not {"classes", "config", "slides", "splits_made_with"} <= set(run):
            raise ValueError("it lacks what `ats-mag` writes into it")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{str(file)!r} is damaged ({error}): use another `run` folder, or remove this one") from error
    return run


def _some(names: Any) -> str:
    names = sorted(map(str, names))
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
