import typer

from experiments.adaptive.experiment import main

typer.run(main)
