from ats_mag.cli.script import run_script
from experiments.gradient_variance.experiment import main

run_script(main)
