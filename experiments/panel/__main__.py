from ats_mag.cli.script import run_script
from experiments.panel.experiment import main

run_script(main)
