from ats_mag.cli.script import run_script
from experiments.megapixel.experiment import main

run_script(main)
