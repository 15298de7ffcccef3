"""The same work on a Dask cluster: the same bytes, and a worker that is killed loses nothing."""

import contextlib
import os
import signal
import sys
import time

import pytest
from made_cohort import OVERVIEW_MPP, add_pipes, fingerprints, make_cohort, prepare_or_wait
from test_prepare_deaths import status, when

from ats_mag.preparation import prepare

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of one thread; a slide that a worker died at is given back at once."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0, "distributed.admin.log-length": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as found,
    ):
        yield found


def pids(cluster):
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        return list(client.run(os.getpid, on_error="ignore").values())


def wait_for_reader(pipe):
    """Opens a pipe to write as soon as somebody waits at it."""
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.01)


def run(folder, manifest, out, **options):
    return prepare(manifest, folder / "slides", out, OVERVIEW_MPP, sheets=True, stride=4, **options)


@pytest.mark.long
def test_two_workers_one_killed_midway_give_the_same_bytes(cluster, tmp_path):
    manifest = make_cohort(tmp_path, 8)
    assert {p.status for p in run(tmp_path, manifest, tmp_path / "local", workers=2)} == {"written"}
    slides = run(tmp_path, manifest, tmp_path / "dask", scheduler=cluster.scheduler_address)
    done = [next(slides)]
    os.kill(pids(cluster)[0], signal.SIGKILL)
    done += slides
    assert [p.status for p in done] == ["written"] * 8
    assert sorted(p.slide_id for p in done) == sorted(manifest["slide_id"])
    assert fingerprints(tmp_path / "dask") == fingerprints(tmp_path / "local")
    again = run(tmp_path, manifest, tmp_path / "dask", scheduler=cluster.scheduler_address)
    assert [p.status for p in again] == ["kept"] * 8


@pytest.mark.long
def test_a_slide_that_kills_workers_fails_alone(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("ats_mag.preparation.run.prepare_slide", prepare_or_wait)
    make_cohort(tmp_path, 2)
    manifest, out = add_pipes(tmp_path, "stuck"), tmp_path / "r"

    def kill_all():
        writer = wait_for_reader(tmp_path / "slides" / "stuck.tif")
        for pid in pids(cluster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.close(writer)

    def alone():
        return status(out, "stuck") == ("started", 1) and all(status(out, name)[0] == "done" for name in ("s0", "s1"))

    first = when(alone, kill_all)
    second = when(lambda: status(out, "stuck") == ("started", 2) and not first.is_alive(), kill_all)
    done = {p.slide_id: p for p in run(tmp_path, manifest, out, scheduler=cluster.scheduler_address)}
    second.join(1)
    assert {name: p.status for name, p in done.items()} == {"s0": "written", "s1": "written", "stuck": "failed"}
    assert "Dask worker" in done["stuck"].error


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    manifest = make_cohort(tmp_path, 1)
    monkeypatch.setattr("ats_mag.system.dask_cluster._SECONDS_TO_CONNECT", 0.5)
    with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        list(run(tmp_path, manifest, tmp_path / "r", scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(ValueError, match=r"such as tcp://HOST:8786\. Received: 'nonsense'"):
        list(run(tmp_path, manifest, tmp_path / "r", scheduler="nonsense"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"ats-mag\[dask\]"):
        list(run(tmp_path, manifest, tmp_path / "r", scheduler="tcp://127.0.0.1:9"))
