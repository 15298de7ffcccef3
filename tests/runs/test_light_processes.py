"""Processes that only look at slides begin without Keras and its backend, which would take them seconds and memory."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["runs.check_slide", "geometry.lattice", "slides.numpy_overview", "slides.writing.flat"]
)
def test_keras_is_not_imported(module):
    code = f"import sys, ats_mag.{module}; print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
