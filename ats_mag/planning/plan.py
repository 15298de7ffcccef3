"""Planning a run from its manifest and slides."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ats_mag.cohort.manifest import load_manifest
from ats_mag.config.reading import ConfigError
from ats_mag.config.schema import RunConfig
from ats_mag.config.writing import config_text
from ats_mag.planning.division import choose_division, choose_labels, count_classes
from ats_mag.planning.doubts import doubts
from ats_mag.planning.draft import Draft, given_keys
from ats_mag.planning.estimate import Estimate, estimate
from ats_mag.planning.facts import Facts
from ats_mag.planning.look import look_at_encoder, look_at_machine, look_at_properties, look_at_tissue
from ats_mag.planning.probe import run_probe
from ats_mag.planning.scales import choose_scales
from ats_mag.planning.training import choose_draws, choose_masks, choose_training

_SHOWN = 20


@dataclass(frozen=True)
class Plan:
    """A complete configuration, and why it is so.

    Attributes:
        config: of the run; its paths are as they were given.
        reasons: by key, such as `model.stride`, of what was chosen or given. Other keys have their defaults.
        warnings: sentences on what the data will not carry.
        bad: slides that were planned without, and why.
        estimate: what the run will take.
        about: the cohort, in a sentence.
    """

    config: RunConfig
    reasons: Mapping[str, str]
    warnings: list[str]
    bad: Mapping[str, str]
    estimate: Estimate
    about: str

    def text(self, folder: str | os.PathLike[str] = ".") -> str:
        """The configuration as commented YAML, for a file in a folder: relative paths are relative to it."""
        values = self.config.model_dump(mode="json")
        for key in ("slides", "manifest"):
            path = values["data"][key]
            values["data"][key] = path if os.path.isabs(path) else os.path.relpath(path, folder)
        if (encoder := values["model"]["encoder"]) and (path := Path(encoder).expanduser()).is_dir():
            values["model"]["encoder"] = str(path.absolute())
        head = [f"Configuration of an ats_mag run, planned for {self.about}.", "", "Expected:"]
        head += [f"  {line}" for line in self.estimate.lines()]
        head += [f"Beware: {text}" for text in self.warnings]
        head += [f"Planned without {slide}: {why}" for slide, why in list(self.bad.items())[:_SHOWN]]
        if len(self.bad) > _SHOWN:
            head.append(f"... and without {len(self.bad) - _SHOWN} slides more")
        head.append(
            "Keys without numbers of this cohort have their defaults. Relative paths are relative to this file's folder."
        )
        return config_text(values, self.reasons, "\n".join(head))


def plan(
    manifest: str | os.PathLike[str],
    slides: str | os.PathLike[str],
    *,
    probe: bool = True,
    progress: Callable[[int, int], None] | None = None,
    **known: Any,
) -> Plan:
    """Plans a run: looks at manifest, slides and machine, and chooses a configuration by the rules of docs/plan.md.

    Args:
        manifest: CSV or XLSX, see `read_manifest`.
        slides: folder that its paths are relative to.
        probe: whether to train a few steps, which tells how long the run will take.
        progress: called with how many slides were looked at, and of how many.
        **known: what is given and kept: sections (`model={"patch_size": 64}`) or, by `**`, keys (`"model.patch_size": 64`).

    Returns:
        The plan; `plan.text()` is its YAML, `plan.config` the configuration.

    Raises:
        ConfigError: an unknown key or a wrong value is given.
        ManifestError, NotADirectoryError: a manifest or a folder that cannot be used.
        ValueError: nothing can be planned: no slide can be read, all are of one class, or some are far too small.
    """
    given = given_keys(known)
    for key in ("data.manifest", "data.slides"):
        if key in given:
            raise ConfigError(f"{key} is an argument of the plan, and no key to be given")
    draft = Draft({**given, "data.manifest": Path(manifest), "data.slides": Path(slides)})
    facts = _look(draft)
    choose_scales(draft, facts)
    start = time.monotonic()
    facts = look_at_tissue(_lenient(draft.config()), facts, progress)
    looking = time.monotonic() - start
    _check_some(facts)
    choose_labels(draft, facts)
    splits = choose_division(draft, facts)
    choose_draws(draft, facts)
    choose_masks(draft, facts)
    choose_training(draft, facts, splits)
    config = draft.config()
    measured = run_probe(config, facts) if probe else None
    warnings = doubts(facts)
    if splits is None:
        warnings.append("the patients cannot be divided so that every class is learnt: `ats-mag validate` says why")
    bad = {**facts.bad, **facts.damaged}
    return Plan(config, draft.reasons, warnings, bad, estimate(draft, facts, splits, measured, looking), _about(facts))


def _look(draft: Draft) -> Facts:
    """What can be known before the overviews are read."""
    config = draft.config()
    manifest = load_manifest(config)
    slides, bad = look_at_properties(config, manifest)
    facts = Facts(manifest, slides, look_at_machine(config.run), look_at_encoder(config.model), bad=bad)
    _check_some(facts)
    return facts


def _lenient(config: RunConfig) -> RunConfig:
    """The configuration under which no slide is bad for its size or for lack of tissue: the rules see to that."""
    prepare = config.prepare.model_copy(update={"empty_mask": "whole"})
    return config.model_copy(update={"prepare": prepare, "model": config.model.model_copy(update={"n_patches": 1})})


def _check_some(facts: Facts) -> None:
    if not facts.slides:
        bad = {**facts.bad, **facts.damaged}
        slide, why = next(iter(bad.items()))
        raise ValueError(f"none of the {len(bad)} slides can be read, so nothing can be planned; {slide!r}: {why}")


def _about(facts: Facts) -> str:
    classes = ", ".join(f"{name} {count}" for name, count in count_classes(facts.readable).items())
    patients = facts.readable["patient_id"].nunique()
    suffixes = ", ".join(sorted({slide.suffix for slide in facts.slides}))
    machine = facts.machine
    gpu = f"{len(machine.gpus)} GPU(s)" if machine.gpus else "no GPU"
    return (
        f"{len(facts.slides)} slides ({suffixes}) of {patients} patients, {classes}; on {machine.cpus} processors, {gpu}, "
        f"{machine.memory / 1e9:.3g} GB of free memory; encoder {facts.encoder.name}"
    )
