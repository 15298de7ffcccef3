import typer

from data_prep.synthetic_slides.cohort import main

typer.run(main)
