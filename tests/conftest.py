"""What all tests share. The tests of the mathematics also pass with `KERAS_BACKEND=jax`."""

import gc
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

pytest_plugins = ["small_model"]

ROOT = Path(__file__).resolve().parents[1]
_TESTS = itertools.count(1)
GOLDEN = Path(os.environ.get("ATS_MAG_GOLDEN", ROOT.parent / "shared" / "golden"))


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests that take long, too")


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_tensorflow: uses TensorFlow itself, not only Keras")
    config.addinivalue_line("markers", "processes: looks at slides in processes, as users do")
    config.addinivalue_line(
        "markers", "graphs: is about TensorFlow's graphs; other tests run without tracing, unless long"
    )
    config.addinivalue_line("markers", "long: takes long; `make test-all` runs it")
    hands_out = bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")
    if not hands_out and _on_tensorflow():  # to import TensorFlow takes seconds, for which the workers would wait
        import tensorflow as tf

        # Two devices for the distribution strategies; must precede the first use of a device.
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        if not config.getoption("--long"):
            # Most graphs of the tests run once or twice: to optimise them takes longer than to run them as they are.
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def _on_tensorflow():
    import keras

    return keras.backend.backend() == "tensorflow"


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="takes long: `make test-all` runs it")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip)
    if _on_tensorflow():
        return
    skip = pytest.mark.skip(reason="needs Keras' TensorFlow backend")
    for item in items:
        if item.get_closest_marker("needs_tensorflow"):
            item.add_marker(skip)


def pytest_collection_finish():
    gc.freeze()  # what was imported stays: to search it for garbage again and again takes a twentieth of the time
    gc.set_threshold(10_000, 20, 50)  # what is new is searched less often, too


def pytest_sessionfinish():
    gc.unfreeze()  # Hypothesis, where only now it is imported, searches it for its random numbers


def in_this_process(work, jobs, workers, failed, seconds=None, begin=lambda job: None, start=None):
    """As `run_in_processes`, without processes, each of which takes seconds to begin."""
    for job in jobs:
        begin(job)
        yield job, work(job)


IN_PROCESSES = ("planning.look", "preparation.run", "runs.check_slides", "slides.writing.flat_many")  # what works so


@pytest.fixture(scope="session", autouse=True)
def _work_here():
    """Slides are worked on without processes but in tests that are marked `processes`."""
    with pytest.MonkeyPatch.context() as patch:
        if _on_tensorflow():
            for module in IN_PROCESSES:
                patch.setattr(f"ats_mag.{module}.run_in_processes", in_this_process)
        yield


@pytest.fixture(autouse=True)
def _work_in_processes(request, monkeypatch):
    if request.node.get_closest_marker("processes"):
        from ats_mag.system.processes import run_in_processes

        for module in IN_PROCESSES:
            monkeypatch.setattr(f"ats_mag.{module}.run_in_processes", run_in_processes)


@pytest.fixture(autouse=True)
def _without_tracing(request):
    """Most graphs of the tests run once or twice: to trace one takes longer than to run what it holds."""
    if not _on_tensorflow():
        yield
        return
    import tensorflow as tf

    traced = request.config.getoption("--long") or request.node.get_closest_marker("graphs")
    tf.config.run_functions_eagerly(not traced)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(autouse=True)
def _collectives_of_its_own(monkeypatch):
    """TensorFlow keeps what replicas agreed on under numbers that begin anew with every strategy, for the whole process."""
    if _on_tensorflow():
        import tensorflow as tf

        monkeypatch.setattr(tf.distribute.MirroredStrategy, "_collective_key_base", 100 * next(_TESTS))


@pytest.fixture(autouse=True)
def _seeded():
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def golden():
    """Loads a file of vectors that attention-sampling 0.2 computed: `golden(name)` -> `{case: {key: array}}`."""

    def load(name):
        path = GOLDEN / f"{name}.npz"
        if not path.exists():
            pytest.skip(f"no {path}")
        cases = {}
        with np.load(path) as arrays:
            for key in arrays.files:
                case, _, leaf = key.rpartition("/")
                cases.setdefault(case, {})[leaf] = arrays[key]
        return cases

    return load
