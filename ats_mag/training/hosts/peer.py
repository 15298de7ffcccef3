"""A connection to another process: whole messages, of plain values, in both directions."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from typing import Any

_LENGTH = struct.Struct("!I")
_LONGEST = 1 << 28  # bytes; a longer message is none of ours

Message = dict[str, Any]


class Peer:
    """The other end of a connection.

    Args:
        connection: a connected socket; it is closed by `close`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._sending = connection, threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # messages are short and waited for

    def send(self, message: Message) -> None:
        """Sends a message; threads may do so at once.

        Raises:
            OSError: the connection is broken, or has been closed.
        """
        data = json.dumps(message).encode()
        with self._sending:
            self._connection.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, seconds: float | None = None) -> Message:
        """Waits for the next message.

        Args:
            seconds: at most so long. None: as long as it takes.

        Raises:
            ConnectionError: the connection has ended, or what came is no message of ours.
            TimeoutError: there was none in time.
            OSError: the connection is broken, or has been closed.
        """
        self._connection.settimeout(seconds)
        try:
            (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
            if length > _LONGEST:
                raise ConnectionError("what came is no message")
            message = json.loads(self._read(length))
        except ValueError as error:
            raise ConnectionError("what came is no message") from error
        finally:
            self._connection.settimeout(None)
        if not isinstance(message, dict):
            raise ConnectionError("what came is no message")
        return message

    def finish(self) -> None:
        """Says that no more is sent."""
        with contextlib.suppress(OSError):  # it is broken, or closed
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _read(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._connection.recv(min(length, 1 << 16))
            if not part:
                raise ConnectionError("the connection has ended")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
