"""How long the viewer's server waits for those who connect to it, and how many it keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0  # from a request's beginning to its end
ANSWER_SECONDS = 60.0  # for taking what was sent; a tile has a megabyte at most
AT_REST = 64  # connections that are asked nothing at the moment; a browser keeps six
_AT_WORK = 64  # requests; more are refused


def server_settings(app: Any) -> uvicorn.Config:
    """Settings of a server that nobody can hold up by being slow."""
    return uvicorn.Config(
        app,
        http=ImpatientProtocol,
        log_level="warning",
        ws="none",
        server_header=False,
        limit_concurrency=AT_REST + _AT_WORK,  # uvicorn counts connections at rest, too
        timeout_graceful_shutdown=1,
    )


class ImpatientProtocol(H11Protocol):
    """A connection that is dropped when its client is slow.

    Uvicorn itself waits for ever for a client that connects and sends nothing, half of a request, or a request whose
    answer it does not take, and counts it against its limit. Here each of these has its time, and where more than
    `AT_REST` connections are of this kind, the one that has rested longest makes room.
    """

    resting_since: float
    _request: asyncio.TimerHandle | None = None
    _answer: asyncio.TimerHandle | None = None

    @property
    def at_rest(self) -> bool:
        """Whether nothing is being worked out for the client."""
        return self.cycle is None or self.cycle.response_complete or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # `pause_writing` is called whenever the client does not take all at once
        self.resting_since = self.loop.time()
        self._await_request()
        resting = [known for known in self.connections if isinstance(known, ImpatientProtocol) and known.at_rest]
        for known in sorted(resting, key=lambda known: known.resting_since)[:-AT_REST]:
            known.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._request, self._answer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._await_request()
        super().data_received(data)
        if self._request is not None and self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._request.cancel()
            self._request = None

    def on_response_complete(self) -> None:
        self.resting_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answer is None:
            self._answer = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def _await_request(self) -> None:
        if self._request is None:
            self._request = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
