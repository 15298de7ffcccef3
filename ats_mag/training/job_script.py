"""Job scripts for SLURM: an array over the folds of a run, or one training over several machines."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig

_RESTARTS = 50  # after which a job that was out of time is not begun again
_CLUSTER = "cluster"  # `train.devices` of one training over several machines
_FORMS = {
    "partition": (r"[\w.,-]+", "the name of a partition, or several, such as gpu or gpu,long"),
    "time": (r"(\d+-)?\d+(:\d\d){0,2}", "minutes, HOURS:MINUTES:SECONDS or DAYS-HOURS, such as 24:00:00 or 2-12"),
    "memory": (r"\d+[KMGT]?", "megabytes, or a number with a unit, such as 32G"),
}


@dataclass(frozen=True)
class Resources:
    """What a job asks for, of each machine.

    Attributes:
        partition: of the cluster; None: its default.
        time: after which the job is interrupted, as SLURM writes it.
        memory: as SLURM writes it.
        cpus: processors.
        gpus: graphics cards; 0: none.
        sbatch_options: further options of `sbatch`, such as `--account=NAME`.

    Raises:
        ValueError: one is none that SLURM understands.
    """

    partition: str | None = None
    time: str = "24:00:00"
    memory: str = "32G"
    cpus: int = 8
    gpus: int = 1
    sbatch_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (form, words) in _FORMS.items():
            value = getattr(self, name)
            if value is not None and not re.fullmatch(form, value, re.ASCII):
                raise ValueError(f"{name} must be {words}. Received: {value!r}")
        for name, least in (("cpus", 1), ("gpus", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more. Received: {getattr(self, name)}")
        for option in self.sbatch_options:
            if not re.fullmatch(r"--?[A-Za-z][^\n]*", option):
                raise ValueError(
                    f"sbatch_options must be options of sbatch, such as --account=NAME. Received: {option!r}"
                )

    def options(self) -> list[str]:
        """The options of `sbatch`."""
        found = [] if self.partition is None else [f"--partition={self.partition}"]
        found += [f"--time={self.time}", f"--mem={self.memory}", f"--cpus-per-task={self.cpus}"]
        return [*found, *([f"--gres=gpu:{self.gpus}"] if self.gpus else []), *self.sbatch_options]


def job_script(
    file: Path,
    config: RunConfig,
    asked: Resources,
    folds: Sequence[int] | None = None,
    hosts: int | None = None,
    at_once: int | None = None,
    setup: Sequence[str] = (),
    python: str = sys.executable,
) -> str:
    """The text of a job script that trains a run, which `sbatch` takes as it is.

    Args:
        file: the configuration's.
        config: what it holds.
        asked: what each job asks for.
        folds: to train. None: all.
        hosts: one job over so many machines. None: an array of jobs, one per fold.
        at_once: jobs of the array that run at the same time at most. None: as many as the cluster lets.
        setup: lines of the shell that come first, such as `module load cuda`.
        python: the interpreter, which the machines must find under this path.

    Raises:
        ValueError: there is no such fold; or the configuration is not for several machines, or is.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    every = folds_of(config)
    for fold in folds or ():
        if fold not in every:
            raise ValueError(f"the run has the folds 0 to {len(every) - 1}. Received: {fold}")
    chosen = list(every if folds is None else folds)
    _check_devices(file, config, hosts)
    path, command = file.absolute(), f"{shlex.quote(python)} -m ats_mag.cli"
    train = 'srun{} "$python" -m ats_mag.cli train "$config"{}'
    if hosts is None:
        width = "" if at_once is None else f"%{at_once}"
        layout = [f"--array={','.join(map(str, chosen))}{width}", "--ntasks=1"]
        step = train.format("", ' --fold "$SLURM_ARRAY_TASK_ID"')
        title = f"Trains {_some(chosen)} of the run of {path}: a job for each."
    else:
        layout = [f"--nodes={hosts}", "--ntasks-per-node=1"]
        some = "" if folds is None else f" --folds {','.join(map(str, chosen))}"
        step = train.format(" --kill-on-bad-exit=1", some)
        title = f"Trains {_some(chosen)} of the run of {path}, one after the other: each on {hosts} machines together."
    name = "ats-mag-" + re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)
    loader = PackageLoader("ats_mag.training")
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return environment.get_template("slurm.sh.j2").render(
        title=_one_line(title),
        name=name,
        output=f"{name}-{'%A_%a' if hosts is None else '%j'}.out",
        command=_one_line(command),
        config=shlex.quote(str(path)),
        config_shown=_one_line(shlex.quote(str(path))),
        measure=_one_line(shlex.quote(f"{command} evaluate {shlex.quote(str(path))}")),
        measure_options="".join(f" {shlex.quote(option)}" for option in asked.options()),
        options=layout + asked.options(),
        python=shlex.quote(python),
        restarts=_RESTARTS,
        setup=list(setup),
        cpus=asked.cpus,
        step=step,
    )


def folds_of(config: RunConfig) -> list[int]:
    """The folds that a configuration asks for."""
    return list(range(config.splits.folds if config.splits.kind == "kfold" else 1))


def _check_devices(file: Path, config: RunConfig, hosts: int | None) -> None:
    devices = str(config.train.devices)
    if hosts is not None and hosts < 2:
        raise ValueError(f"hosts must be 2 or more; without it, every fold has a job on one machine. Received: {hosts}")
    if hosts is not None and devices != _CLUSTER:
        raise ValueError(
            f"{str(file)!r} has train.devices: {devices}, with which each of {hosts} machines would train by itself: set "
            f"train.devices: {_CLUSTER}, or leave hosts out"
        )
    if hosts is None and devices == _CLUSTER:
        raise ValueError(
            f"{str(file)!r} has train.devices: {_CLUSTER}, for one training over several machines: give their number (hosts), or "
            "set train.devices: one"
        )


def _some(folds: list[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"


def _one_line(text: str) -> str:
    """For a comment of the script, which a line break would end."""
    return text.replace("\n", "\\n")
