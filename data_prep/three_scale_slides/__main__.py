from ats_mag.cli.script import run_script
from data_prep.three_scale_slides.cohort import main

run_script(main)
