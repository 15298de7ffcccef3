import typer

from data_prep.mixed_scanners.cohort import main

typer.run(main)
