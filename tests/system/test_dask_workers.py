"""One long job at a time at each Dask worker; what a worker dies at, refuses, or nobody waits for."""

import os
import signal
import threading
import time
from collections import Counter

import pytest

from ats_mag.system import dask_workers
from ats_mag.system.dask_workers import WorkDied, one_per_worker, taken_back

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture
def cluster(monkeypatch):
    """`cluster(**options)` -> a client of a cluster in threads of this process: two workers of three threads."""
    monkeypatch.setattr(dask_workers, "_POLL", 0.1)
    made = []

    def make(**options):
        options = {"n_workers": 2, "threads_per_worker": 3, "processes": False, **options}
        found = distributed.LocalCluster(dashboard_address=":0", silence_logs=50, **options)
        client = distributed.Client(found, set_as_default=False)
        made.extend((client, found))
        return client

    with dask.config.set({"distributed.comm.timeouts.connect": "2s", "distributed.admin.log-length": 0}):
        yield make
        for one in made:
            one.close()


at_work, most, lock = Counter(), Counter(), threading.Lock()


def count(job):
    address = distributed.get_worker().address
    with lock:
        at_work[address] += 1
        most[address] = max(most[address], at_work[address])
    time.sleep(0.05)
    with lock:
        at_work[address] -= 1
    return job * 10


def test_a_worker_of_several_threads_does_one_job_at_a_time(cluster):
    news = list(one_per_worker(cluster(), count, range(6), "count"))
    assert {one.job: one.outcome for one in news if one.what == "done"} == {job: 10 * job for job in range(6)}
    assert [one.job for one in news if one.what == "begun"] == list(range(6))
    assert list(most.values()) == [1, 1]


def die_in_part(job):
    deaths[job] += 1
    if job == "always" or (job == "once" and deaths[job] == 1):
        raise WorkDied("signal 9: Killed")
    return job


deaths = Counter()


def test_work_that_died_is_done_again_but_not_for_ever(cluster):
    deaths.clear()
    news = list(one_per_worker(cluster(), die_in_part, ["always", "once", "never"], "count"))
    assert {one.job for one in news if one.what == "done"} == {"once", "never"}
    assert [(one.job, one.why) for one in news if one.what == "given_up"] == [
        ("always", "workers died at it 4 times; the last time: signal 9: Killed")
    ]
    assert deaths == {"always": 4, "once": 2, "never": 1}


def refuse_at_one(job):
    if distributed.get_worker().name == 0:
        raise RuntimeError("another version")
    return job


def refuse(job):
    raise RuntimeError("another version")


def test_a_worker_that_cannot_do_the_work_gets_none_and_the_others_do_it(cluster):
    client = cluster()
    news = list(one_per_worker(client, refuse_at_one, ["a", "b", "c"], "count"))
    assert [one.why for one in news if one.what == "refused"] == ["RuntimeError: another version"]
    assert sorted(one.job for one in news if one.what == "done") == ["a", "b", "c"]
    with pytest.raises(
        RuntimeError, match=r"the Dask workers cannot count: inproc://.*: RuntimeError: another version"
    ):
        list(one_per_worker(client, refuse, ["a", "b", "c"], "count"))


def test_a_worker_without_the_package_gets_no_job(cluster, monkeypatch):
    """It would die of a job that it cannot read."""
    monkeypatch.setattr(count, "__module__", "not_installed_there")
    with pytest.raises(
        RuntimeError, match=r"cannot count: .*ModuleNotFoundError: No module named 'not_installed_there'"
    ):
        list(one_per_worker(cluster(), count, ["a"], "count"))


seen = []


def until_taken_back(job):
    while not taken_back():
        time.sleep(0.01)
    seen.append(job)


def test_a_worker_learns_that_nobody_waits_any_more(cluster):
    seen.clear()
    news = one_per_worker(cluster(), until_taken_back, ["a", "b", "c"], "count")
    assert [next(news).job, next(news).job] == ["a", "b"]
    time.sleep(0.3)
    assert seen == []
    news.close()
    deadline = time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted(seen) == ["a", "b"]
    assert not taken_back()  # who is at no worker is asked by nobody


def test_a_scheduler_that_is_lost_is_told(cluster):
    client = cluster()
    news = one_per_worker(client, until_taken_back, ["a", "b", "c"], "count")
    next(news)
    client.cluster.scheduler.loop.add_callback(client.cluster.scheduler.close)
    with pytest.raises(ConnectionError, match="scheduler was lost"):
        list(news)


def test_a_cluster_without_workers_is_told(cluster, monkeypatch):
    monkeypatch.setattr("ats_mag.system.dask_cluster.SECONDS_WITHOUT_WORKERS", 0.3)
    with pytest.raises(ConnectionError, match=r"no workers for .* minutes: start some with `dask worker"):
        list(one_per_worker(cluster(n_workers=0), count, [1], "count"))


def kill_once(job):
    file, name = job
    if name == "kills" and not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name


@pytest.mark.long
def test_a_job_whose_worker_is_killed_goes_to_another(cluster, tmp_path):
    jobs = [(tmp_path / "killed", name) for name in ("kills", "a", "b", "c")]
    client = cluster(processes=True, threads_per_worker=2)
    news = list(one_per_worker(client, kill_once, jobs, "count"))
    assert [(one.job[1], one.why) for one in news if one.what == "lost"] == [("kills", "it is gone")]
    assert sorted(one.outcome for one in news if one.what == "done") == ["a", "b", "c", "kills"]
