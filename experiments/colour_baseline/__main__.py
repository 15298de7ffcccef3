import typer

from experiments.colour_baseline.folds import main

typer.run(main)
