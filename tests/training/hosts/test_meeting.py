"""Processes that meet, tell each other things, and miss each other. Here they are threads."""

import contextlib
import socket
import threading
import time

import pytest

from ats_mag.training.hosts.hosts import HostLost, Hosts
from ats_mag.training.hosts.meeting import HostRefused
from ats_mag.training.hosts.places import Places


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("ATS_MAG_HOST_PATIENCE", "20")
    monkeypatch.setattr("ats_mag.training.hosts.hosts.atexit.register", lambda *_: None)
    monkeypatch.setattr("ats_mag.training.hosts.hosts.Hosts._end", lambda *_: None)  # nobody ends this process
    monkeypatch.setattr("ats_mag.training.hosts.hosts._end_after", lambda seconds: None)


def addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{found.getsockname()[1]}" for found in sockets)


def each(count, work, about=lambda k: {"a": 1}, places=None):
    """What `work(hosts)` gives in each process, or the error that it ends with."""
    names = addresses(count)
    results = [None] * count

    def run(k):
        try:
            with Hosts((places or Places)(names, k), about(k)).together() as hosts:
                results[k] = work(hosts)
        except Exception as error:
            results[k] = error

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_all_see_what_each_gives():
    def work(hosts):
        return [
            hosts.gather("number", 10 * hosts.places.number),
            hosts.of_chief("word", f"of {hosts.places.number}"),
            len(hosts),
        ]

    assert each(3, work) == [[[0, 10, 20], "of 0", 3]] * 3


def test_processes_that_differ_are_refused_by_all():
    for error in each(2, lambda hosts: None, lambda k: {"train.seed": k, "b": 1}):
        assert isinstance(error, HostRefused)
        assert "host 1 (127.0.0.1:" in str(error)
        assert "(train.seed: 1 in place of 0)" in str(error)


def test_what_differs_later_is_refused_by_all():
    for error in each(2, lambda hosts: hosts.check("slides", {"slide s1": hosts.places.number, "slide s2": 0})):
        assert isinstance(error, HostRefused)
        assert "(slide s1: 1 in place of 0)" in str(error)


def test_two_processes_in_one_place_are_refused(monkeypatch):
    monkeypatch.setenv("ATS_MAG_HOST_PATIENCE", "2")  # the first waits for the others in vain
    names = addresses(3)
    first, second = each(2, lambda hosts: None, places=lambda _, k: Places(names, (0, 0)[k]))
    found = [str(error) for error in (first, second) if isinstance(error, HostRefused)]
    assert any("host 0 (127.0.0.1:" in text and "is there already" in text for text in found)


def test_other_addresses_are_refused():
    names = addresses(3)
    for error in each(2, lambda hosts: None, places=lambda _, k: Places((names[0], names[1 + k]), k)):
        assert isinstance(error, HostRefused)
        assert "was told of other hosts" in str(error)


def test_what_is_no_process_of_ours_is_passed_over(monkeypatch):
    names = addresses(2)

    def stranger():
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", int(names[0].rpartition(":")[2])), timeout=1) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                return
            time.sleep(0.01)

    thread = threading.Thread(target=stranger)
    thread.start()
    results = each(2, lambda hosts: hosts.gather("x", 1), places=lambda _, k: Places(names, k))
    thread.join()
    assert results == [[1, 1]] * 2


def test_who_does_not_come_is_named(monkeypatch):
    monkeypatch.setenv("ATS_MAG_HOST_PATIENCE", "0.5")
    names = addresses(2)
    with pytest.raises(TimeoutError, match=rf"host 1 \({names[1]}\) did not come"):
        Hosts(Places(names, 0), {})
    with pytest.raises(TimeoutError, match=rf"host 0 \({names[0]}\) did not answer"):
        Hosts(Places(names, 1), {})


def test_an_error_of_one_ends_all_and_says_whose_it_is():
    def work(hosts):
        if hosts.places.number == 2:
            raise OSError("slide s7 cannot be read")
        hosts.gather("batch", 0)

    first, second, third = each(3, work)
    assert isinstance(third, OSError)
    for error in (first, second):
        assert isinstance(error, HostLost)
        assert "host 2 (127.0.0.1:" in str(error)
        assert "ended: slide s7 cannot be read" in str(error)


def test_one_that_is_silent_is_named(monkeypatch):
    monkeypatch.setenv("ATS_MAG_HOST_SILENCE", "2")
    monkeypatch.setattr("ats_mag.training.hosts.hosts._BEAT", 0.2)
    cut = threading.Event()

    def work(hosts):
        if hosts.places.number == 1:  # its words come no more
            for peer in hosts._peers.values():
                peer.send = lambda message: None
            cut.wait(30)
            return None
        try:
            hosts.gather("batch", 0)
        finally:
            cut.set()

    first, _ = each(2, work)
    assert isinstance(first, HostLost)
    assert "host 1 (127.0.0.1:" in str(first)
    assert "has not been heard for 2 s: it hangs, or the network" in str(first)


def test_one_whose_process_ends_is_named():
    def work(hosts):
        if hosts.places.number == 1:
            for peer in hosts._peers.values():
                peer._connection.shutdown(socket.SHUT_RDWR)  # as the system does when a process is killed
            raise KeyError
        hosts.gather("batch", 0)

    first, _ = each(2, work)
    assert isinstance(first, HostLost)
    assert "host 1 (127.0.0.1:" in str(first)
    assert "died" in str(first)


def test_one_that_lives_but_stays_behind_is_named(monkeypatch):
    monkeypatch.setenv("ATS_MAG_HOST_STALL", "1")
    monkeypatch.setattr("ats_mag.training.hosts.hosts._BEAT", 0.1)

    def work(hosts):
        if hosts.places.number != 1:
            hosts.progress()
        hosts._known.wait(30)
        hosts.gather("batch", 0)

    for error in each(3, work):
        assert isinstance(error, HostLost)
        assert "host 1 (127.0.0.1:" in str(error)
        assert "lives, but has been behind the others for 1 s" in str(error)


def test_nobody_is_blamed_where_all_stand_still(monkeypatch):
    monkeypatch.setenv("ATS_MAG_HOST_STALL", "0.3")
    monkeypatch.setattr("ats_mag.training.hosts.hosts._BEAT", 0.1)

    def work(hosts):
        hosts.progress()
        return hosts.gather("waited", hosts._known.wait(1.0))

    assert each(2, work) == [[False, False]] * 2
