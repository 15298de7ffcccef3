"""Clusters: job scripts, and how far the folds of a run are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ats_mag.cli.chosen_folds import parse_folds
from ats_mag.cli.console import console
from ats_mag.cli.options import naming_options

cluster = typer.Typer(no_args_is_help=True, help="Training on a cluster: job scripts, and how far a run's folds are.")

Config = Annotated[Path, typer.Argument(help="The run's configuration, a YAML file.")]


@cluster.command()
def slurm(
    config: Config,
    folds: Annotated[str | None, typer.Option(help="Folds to train, such as 0,2 or 0-2; default: all.")] = None,
    hosts: Annotated[
        int | None, typer.Option(help="One training over so many machines, instead of a job for each fold.")
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Partition of the cluster; default: the cluster's.")] = None,
    time: Annotated[
        str, typer.Option(help="Time of a job, after which it goes back into the queue and goes on.")
    ] = "24:00:00",
    memory: Annotated[str, typer.Option(help="Memory of a job on a machine.")] = "32G",
    cpus: Annotated[int, typer.Option(help="Processors of a job on a machine.")] = 8,
    gpus: Annotated[int, typer.Option(help="GPUs of a job on a machine; 0: none.")] = 1,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Folds that are trained at the same time at most; default: no limit.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="Further option of sbatch, such as --account=NAME; may be given repeatedly."),
    ] = None,
    setup: Annotated[
        list[str] | None,
        typer.Option(help="Line of the shell that comes first, such as 'module load cuda'; may be given repeatedly."),
    ] = None,
) -> None:
    """Prints a job script that trains a run on a SLURM cluster: `ats-mag cluster slurm CONFIG > job.sh; sbatch job.sh`."""
    from ats_mag.config.reading import read_config
    from ats_mag.training.job_script import Resources, job_script

    settings = read_config(config)
    names = {name: f"--{name}" for name in ("partition", "time", "memory", "cpus", "gpus", "hosts")}
    with naming_options(sbatch_options="--option", **names):
        asked = Resources(partition, time, memory, cpus, gpus, tuple(option or ()))
        chosen = None if folds is None else parse_folds(folds)
        text = job_script(config, settings, asked, chosen, hosts, at_once, setup or ())
    typer.echo(text, nl=False)


@cluster.command()
def status(config: Config) -> None:
    """Says how far each fold of a run is, and who trains it."""
    from ats_mag.config.reading import read_config
    from ats_mag.runs.run import Run
    from ats_mag.training.fold_states import fold_state

    run = Run.stored(read_config(config))
    table = Table(box=None, pad_edge=False)
    for heading in ("fold", "state", "epochs", ""):
        table.add_column(heading)
    for fold in run.folds:
        found = fold_state(run, fold)
        epochs = f"{found.epochs}/{run.config.train.epochs}"
        table.add_row(str(fold), found.status, epochs, escape(found.holder))
    console.print(table, highlight=False)
