"""How the processes of a training find each other, and make sure that they belong together.

Every process but the first connects to the first, at the address that TensorFlow will use later. These connections stay: see
`hosts`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ats_mag.training.hosts.peer import Peer
from ats_mag.training.hosts.places import Places

_PATIENCE = 300.0  # seconds until all have come; ATS_MAG_HOST_PATIENCE
_HELLO = 20.0  # seconds that a process may take to say who it is
_AGAIN = 0.3  # seconds between attempts
_SHOWN = 5

About = Mapping[str, Any]


class HostRefused(ValueError):
    """Processes that do not belong together; the message names them and says what differs."""


def meet(places: Places, about: About) -> dict[int, Peer]:
    """Waits until all processes are there, and compares what they say of themselves.

    Args:
        places: of all of them.
        about: plain values that must be the same in all.

    Returns:
        The connections of this one by number of the host: to all others from the first, to the first from all others.

    Raises:
        HostRefused: another process has this one's place, or one differs in `about`.
        TimeoutError: not all came.
    """
    deadline = time.monotonic() + float(os.environ.get("ATS_MAG_HOST_PATIENCE", _PATIENCE))
    with _own_port(places) as listening:
        if places.number == 0:
            return _wait_for_all(places, about, listening, deadline)
    return {0: _join(places, about, deadline)}


@contextlib.contextmanager
def _own_port(places: Places) -> Iterator[socket.socket]:
    """Listens at this process's own port, which TensorFlow gets next: that it is free is better known now."""
    name, _, port = places.addresses[places.number].rpartition(":")
    taken = HostRefused(
        f"{places.named(places.number)} is there already: its port {port} answers or is taken. Another process was started with the "
        "same number (--index, or the task of TF_CONFIG), or a former one has not ended: give each its own, or another port"
    )
    if places.number == 0:
        with contextlib.suppress(OSError):
            socket.create_connection((name.strip("[]"), int(port)), timeout=2).close()
            raise taken
    family = socket.AF_INET6 if name.startswith("[") else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("", int(port)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise taken from None
            raise
        listening.listen(128)
        yield listening


def _wait_for_all(places: Places, about: About, listening: socket.socket, deadline: float) -> dict[int, Peer]:
    peers: dict[int, Peer] = {}
    wanted = set(range(1, len(places.addresses)))
    try:
        while wanted - peers.keys():
            listening.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                missing = ", ".join(places.named(k) for k in sorted(wanted - peers.keys()))
                raise TimeoutError(
                    f"{missing} did not come: start the command there, too, and see that it reaches {places.addresses[0]}"
                ) from None
            peer = Peer(connection)
            try:
                hello = peer.receive(_HELLO)
                index, addresses, theirs = int(hello["index"]), hello["addresses"], dict(hello["about"])
            except (OSError, KeyError, TypeError, ValueError):
                peer.close()  # none of ours: something that looks for open ports
                continue
            refusal = _refusal(places, peers, index, addresses, about, theirs)
            if refusal is not None:
                with contextlib.suppress(OSError):
                    peer.send({"refused": refusal})
                peer.close()
                raise HostRefused(refusal)
            peers[index] = peer
        for peer in peers.values():
            peer.send({"welcome": True})
        return peers
    except BaseException as error:
        for peer in peers.values():
            with contextlib.suppress(OSError):
                peer.send({"refused": str(error) or type(error).__name__})
            peer.close()
        raise


def _refusal(
    places: Places, peers: Mapping[int, Peer], index: int, addresses: object, ours: About, theirs: About
) -> str | None:
    """Why a process that came does not belong here; None: it does."""
    if addresses != list(places.addresses) or not 0 <= index < len(places.addresses):
        return (
            f"a process that came to {places.named(0)} was told of other hosts ({addresses}) than this one "
            f"({list(places.addresses)}): name the same, in the same order, everywhere"
        )
    if index == 0 or index in peers:
        return f"two processes were started as {places.named(index)}: give each a number of its own"
    return difference(places, index, ours, theirs)


def difference(places: Places, index: int, first: About, other: About) -> str | None:
    """What a host has otherwise than the first, as a sentence; None: nothing."""
    changed = [
        f"{name}: {other.get(name)!r} in place of {first.get(name)!r}"
        for name in sorted(first.keys() | other.keys())
        if first.get(name) != other.get(name)
    ]
    if not changed:
        return None
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return (
        f"{places.named(index)} differs from {places.named(0)} ({'; '.join(changed[:_SHOWN])}{more}): one training needs the same on "
        "all hosts"
    )


def _join(places: Places, about: About, deadline: float) -> Peer:
    name, _, port = places.addresses[0].rpartition(":")
    last: object = None
    while time.monotonic() < deadline:
        try:
            peer = Peer(socket.create_connection((name.strip("[]"), int(port)), timeout=_HELLO))
        except OSError as error:
            last = error
            time.sleep(_AGAIN)
            continue
        try:
            peer.send({"index": places.number, "addresses": list(places.addresses), "about": dict(about)})
            answer = peer.receive(max(1.0, deadline + _HELLO - time.monotonic()))
        except OSError as error:  # it looked whether we are there, or has just ended
            peer.close()
            last = error
            time.sleep(_AGAIN)
            continue
        if "refused" in answer:
            peer.close()
            raise HostRefused(str(answer["refused"]))
        return peer
    raise TimeoutError(
        f"{places.named(0)} did not answer ({last}): start the command there, too, and see that name, port and firewall let this "
        "host reach it"
    )
