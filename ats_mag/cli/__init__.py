"""The command line: one command per verb. Heavy imports happen inside the commands, so that `--help` is quick."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ats_mag.cli.cluster import cluster
from ats_mag.cli.console import resumable, run_app
from ats_mag.cli.convert import convert
from ats_mag.cli.demo import demo
from ats_mag.cli.encoders import encoders
from ats_mag.cli.evaluate import evaluate
from ats_mag.cli.explain import explain
from ats_mag.cli.export import export
from ats_mag.cli.init import init
from ats_mag.cli.plan import plan
from ats_mag.cli.predict import predict
from ats_mag.cli.prepare import prepare
from ats_mag.cli.report import report
from ats_mag.cli.slides import doctor, info
from ats_mag.cli.streams import hush_libraries, take_any_name
from ats_mag.cli.train import train
from ats_mag.cli.validate import validate
from ats_mag.cli.view import view

app = typer.Typer(
    name="ats-mag",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo,
    doctor,
    info,
    encoders,
    convert,
    init,
    plan,
    validate,
    resumable(prepare),
    resumable(train),
    evaluate,
    report,
    resumable(predict),
    explain,
    view,
    export,
):
    app.command()(command)
app.add_typer(cluster, name="cluster")


def _show_version(asked: bool) -> None:
    if asked:
        import ats_mag

        typer.echo(f"ats-mag {ats_mag.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Whole-slide classification by joint spatial and magnification attention sampling."""


def main() -> None:
    """Runs the command line; what is wrong with the input is one message, not a traceback."""
    if not os.environ.get("ATS_MAG_TRACEBACK"):
        hush_libraries()
    take_any_name()
    run_app(app)
