"""A fold to train and what came of it, as plain values that travel between processes and machines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ats_mag.config.reading import resolve_paths
from ats_mag.config.schema import RunConfig
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run_file import RunFile, read_run_file
from ats_mag.system.versions import versions

if TYPE_CHECKING:
    from ats_mag.runs.run import Run

_DECISIVE = ("ats_mag", "tensorflow", "keras")  # packages without whose equal versions results are not


@dataclass(frozen=True)
class FoldJob:
    """A fold of a run, to be trained.

    Attributes:
        config: of the run, as JSON; its paths are absolute.
        fold: its number.
        versions: of the packages that results depend on, where the training is asked for.
        identity: what tells the run's folder from others of its name.
    """

    config: str
    fold: int
    versions: tuple[tuple[str, str], ...]
    identity: tuple[str, str]

    @classmethod
    def of(cls, run: Run, fold: int) -> FoldJob:
        """The job of a run's fold."""
        config = resolve_paths(run.config, Path.cwd()).model_dump(mode="json")
        return cls(json.dumps(config), fold, _versions(), _identity(run.about))

    def settings(self) -> RunConfig:
        """The configuration."""
        return RunConfig.model_validate(json.loads(self.config))

    @property
    def layout(self) -> RunLayout:
        """Where the run's files lie."""
        return RunLayout.of(self.settings())

    @property
    def log(self) -> Path:
        """What the training says, see `RunLayout.log`."""
        return self.layout.log(self.fold)

    def check_place(self) -> None:
        """That the fold can be trained in this process as where it is asked for.

        Raises:
            RuntimeError: packages are of other versions here, or the run's folder is not that one.
        """
        here = dict(_versions())
        other = [
            f"{name} {here.get(name, 'is missing')} here, {wanted} there"
            for name, wanted in self.versions
            if here.get(name) != wanted
        ]
        if other:
            raise RuntimeError(
                f"its versions are others than where the training is asked for ({', '.join(other)}): install the same ones"
            )
        folder = self.layout.folder
        about = read_run_file(self.layout.run)
        if about is None or _identity(about) != self.identity:
            found = "is not there" if about is None else "is another one"
            raise RuntimeError(
                f"the run's folder {str(folder)!r} {found} on this machine: it must be the same under the same path everywhere"
            )


@dataclass(frozen=True)
class FoldOutcome:
    """What came of a job.

    Attributes:
        error: why the fold could not be trained, else None.
        notes: what was doubtful.
    """

    error: str | None = None
    notes: tuple[str, ...] = ()


def _versions() -> tuple[tuple[str, str], ...]:
    found = versions()
    return tuple((name, found[name]) for name in _DECISIVE if name in found)


def _identity(about: RunFile) -> tuple[str, str]:
    starts = about.get("starts") or [{"at": "", "versions": {}}]
    return starts[0]["at"], about["splits_sha256"]
