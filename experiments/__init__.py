"""What README.md and docs/results.md measure: a folder per experiment, each run from the repository's root.

    python -m experiments.NAME --help

Results go to `experiments/results`, a file per run; `python -m experiments.tables` writes the pages' tables from them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported anywhere
