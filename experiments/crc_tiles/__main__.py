import typer

from experiments.crc_tiles.experiment import main

typer.run(main)
