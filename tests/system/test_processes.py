"""Processes of which any may die or hang; nothing here needs TensorFlow."""

import multiprocessing
import os
import signal
import time

import pytest

from ats_mag.system.processes import run_in_processes


def misbehave(job):
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if job == 5:
        time.sleep(1000)
    if job == "wrong":
        raise KeyError(job)
    return os.getpid(), 10 * job


def given_up(job, how, died):
    return None, (job, how, died)


def test_a_process_that_dies_and_one_that_hangs_cost_their_jobs_only():
    begun = []
    found = dict(run_in_processes(misbehave, range(8), 2, given_up, seconds=3, begin=begun.append))
    assert {job: value for job, (_, value) in found.items() if job not in (3, 5)} == {
        i: 10 * i for i in (0, 1, 2, 4, 6, 7)
    }
    assert found[3][1] == (3, "signal 9: Killed", True)
    assert found[5][1] == (5, "took longer than 0.05 minutes", False)
    assert sorted(begun) == list(range(8))
    assert os.getpid() not in {pid for pid, _ in found.values()}
    assert multiprocessing.active_children() == []


def cannot_start():
    raise ImportError("no library")


def ends():
    os._exit(3)


@pytest.mark.parametrize(
    ("jobs", "start", "message"),
    [
        (["wrong"], None, "KeyError: 'wrong'"),
        ([1], cannot_start, "ImportError: no library"),
        ([1], ends, r"processes end while they start \(exit status 3\)"),
    ],
)
def test_what_no_job_is_to_blame_for_is_raised(jobs, start, message):
    with pytest.raises(RuntimeError, match=message):
        list(run_in_processes(misbehave, jobs, 1, given_up, start=start))
    assert multiprocessing.active_children() == []


def test_nothing_to_do_starts_no_process():
    assert list(run_in_processes(misbehave, [], 2, given_up, start=ends)) == []
