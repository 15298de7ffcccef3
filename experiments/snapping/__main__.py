import typer

from experiments.snapping.experiment import main

typer.run(main)
