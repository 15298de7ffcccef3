from ats_mag.cli.script import run_script
from data_prep.bach.cohort import main

run_script(main)
