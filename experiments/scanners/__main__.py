import typer

from experiments.scanners.experiment import main

typer.run(main)
