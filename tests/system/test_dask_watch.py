"""On a cluster, too, nothing is waited for without end: neither a slide that hangs nor workers that are gone."""

import functools
import threading
import time
from types import SimpleNamespace

import pytest

from ats_mag.system import dask_cluster as cluster_module
from ats_mag.system.dask_cluster import run_on_dask

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

end = threading.Event()


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(cluster_module, "_POLL", 0.2)
    options = {"threads_per_worker": 2, "processes": False, "dashboard_address": ":0", "silence_logs": 50}
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        distributed.LocalCluster(n_workers=1, **options) as made,
        distributed.Client(made, set_as_default=False) as found,
    ):
        found.made = made
        yield found
        end.set()


def work(job):
    if job.slide_id == "hangs":
        end.wait()
    return job.slide_id.upper()


def jobs(*names):
    return [SimpleNamespace(slide_id=name) for name in names]


def run(client, jobs, **options):
    died = functools.partial(str.format, "died: {}")
    return ((job.slide_id, outcome) for job, outcome in run_on_dask(client, work, jobs, None, len_of, died, **options))


def len_of(job):
    return len(job.slide_id)


def test_a_slide_that_hangs_is_given_up_and_those_that_wait_are_not(client):
    """What waits behind it in a worker's queue is not yet at work."""
    end.clear()
    names = ["hangs", *(f"s{i}" for i in range(12))]
    found = dict(run(client, jobs(*names), seconds=1.0, late=lambda text: f"late: {text}"))
    assert found.pop("hangs") == "late: reading it took longer than 0.0166667 minutes"
    assert found == {name: name.upper() for name in names[1:]}


def test_a_cluster_without_workers_is_told(client, monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS_WITHOUT_WORKERS", 0.5)
    slides = run(client, jobs("a", "b", "c", "d", "e", "f"))
    next(slides)
    client.made.scale(0)
    while client.nthreads():
        time.sleep(0.01)
    with pytest.raises(
        ConnectionError, match=r"no workers for .* minutes: start some with `dask worker .*what is done is"
    ):
        list(slides)


def test_a_scheduler_that_is_lost_is_told(client):
    end.clear()
    slides = run(client, jobs("a", "hangs"))
    assert next(slides) == ("a", "A")
    client.made.scheduler.loop.add_callback(client.made.scheduler.close)
    with pytest.raises(ConnectionError, match="scheduler was lost"):
        list(slides)
