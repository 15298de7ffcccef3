import typer

from experiments.demo.experiment import main

typer.run(main)
