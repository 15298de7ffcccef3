from ats_mag.cli.script import run_script
from experiments.tcga_prad.experiment import main

run_script(main)
