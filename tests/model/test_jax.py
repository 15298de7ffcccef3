"""The classifier on Keras' JAX backend, without TensorFlow, does what it does on TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

WORKER = Path(__file__).with_name("jax_worker.py")


def work(job, backend, folder):
    done = subprocess.run(
        [sys.executable, str(WORKER), job, str(folder)],
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def folder(cohort, tmp_path_factory):
    """A folder for the workers."""
    folder = tmp_path_factory.mktemp("backends")
    (folder / "slides.txt").write_text("\n".join(str(cohort / "slides" / f"s{i}.tif") for i in range(4)))
    return folder


@pytest.mark.long
def test_the_same_training_evaluation_and_prediction(folder):
    for backend in ("tensorflow", "jax"):  # the second starts from the weights of the first
        work("train", backend, folder)
    found = dict(np.load(folder / "jax.npz"))
    expected = dict(np.load(folder / "tensorflow.npz"))
    assert found.pop("jit")
    assert not expected.pop("jit")
    assert found.keys() == expected.keys()
    assert {"fit loss", "fit attention_entropy", "fit mass_2", "evaluate loss", "evaluate mass_0.5"} < found.keys()
    assert expected["steps"] == 3
    for name, value in found.items():
        if np.issubdtype(value.dtype, np.floating):
            # A contribution is a product of what three steps have learnt, and may be nearly 0: an absolute bound fits.
            exact = {"rtol": 1e-4, "atol": 1e-5 if name == "inspect contribution" else 1e-6}
            np.testing.assert_allclose(value, expected[name], err_msg=name, **exact)
        else:
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
    np.testing.assert_array_equal(found["inspect downsample"], expected["inspect downsample"])
    assert len(np.unique(found["fit loss"])) == 3


@pytest.mark.long
def test_an_unreadable_slide_is_named_or_counted(folder):
    work("fail", "jax", folder)
    errors = json.loads((folder / "errors.json").read_text())
    for way in ("fit", "evaluate", "predict"):
        kind, message = errors[way]
        assert kind == "FileNotFoundError"
        assert message.startswith("cannot open slide '/nowhere/missing.svs'")
    assert errors["unreadable"] == [6, 6, 6]
