"""Clients that hold a connection without asking for anything, or without taking the answer."""

import contextlib
import socket
import threading
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ats_mag.viewer import connections

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture
def get(serve, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    large = Response(bytes(50_000_000))
    routes = [Route("/", lambda request: Response(b"here")), Route("/large", lambda request: large)]
    return serve(Starlette(routes=routes))


def connect(get):
    connection = socket.create_connection(("127.0.0.1", get.port))
    connection.settimeout(20)
    return connection


def until_dropped(connection):
    """Seconds until the server has gone; what it has said until then is taken."""
    begun = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 20):
            pass
    return time.monotonic() - begun


@pytest.mark.parametrize(
    "said", [b"", b"GE", HEAD, HEAD + b"Content-Length: 9\r\n\r\nabc", HEAD + b"Content-Length: 3\r\n\r\nabc"]
)
def test_half_a_request_is_dropped(get, said):
    with connect(get) as connection:
        connection.sendall(said)
        assert until_dropped(connection) < 7  # five of them where a whole request is waited for
        assert get("/").status == 200


def test_neither_bytes_now_and_then_nor_a_second_request_begun_hold_a_connection(get):
    with connect(get) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 10:
                connection.sendall(b"G")
                time.sleep(0.05)
    assert time.monotonic() - begun < 5


def test_who_takes_no_answer_is_dropped(get):
    with connect(get) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(2)
        taken = 0
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(1 << 20):
                taken += len(chunk)
    assert taken < 50_000_000


def test_an_answer_that_takes_long_to_work_out_is_waited_for(serve, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)

    def slow(request):
        time.sleep(1)
        return Response(b"at last")

    assert serve(Starlette(routes=[Route("/", slow)]))("/").text == "at last"


@pytest.mark.parametrize("said", [b"", HEAD])
def test_however_many_wait_others_are_answered(serve, said, monkeypatch):
    # With the usual times: it is not that they are dropped in time.
    get = serve(Starlette(routes=[Route("/", lambda request: Response(b"here"))]))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(get)) for _ in range(3 * connections.AT_REST)]
        for connection in held:
            with contextlib.suppress(ConnectionError):
                connection.sendall(said)
        answers = []
        asking = [threading.Thread(target=lambda: answers.append(get("/").status)) for _ in range(6)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert answers == [200] * 6
        assert until_dropped(held[0]) < 1
