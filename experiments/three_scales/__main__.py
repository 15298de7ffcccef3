from ats_mag.cli.script import run_script
from experiments.three_scales.experiment import main

run_script(main)
