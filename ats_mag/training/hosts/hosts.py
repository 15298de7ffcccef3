"""The processes of one training, as one of them sees the others: what they tell each other, and when one is lost.

TensorFlow's exchange of gradients waits for ever for a process that is gone. So every process says each second that it lives, and
where one is lost all others end, saying which. Where TensorFlow waits in a way that lets no other thread run, a timer of the system's ends
the process without a word.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ats_mag.records.shares import Share
from ats_mag.training.hosts.meeting import About, HostRefused, difference, meet
from ats_mag.training.hosts.peer import Message, Peer
from ats_mag.training.hosts.places import Places

if TYPE_CHECKING:
    import tensorflow as tf

_BEAT = 1.0  # seconds between signs of life
_SILENCE = 30.0  # seconds without any after which a process is given up; ATS_MAG_HOST_SILENCE
_GRACE = 5.0  # seconds for this process to end by itself once another is lost
_STALL = 600.0  # seconds that a process may be behind the others, though it lives; ATS_MAG_HOST_STALL
_EXCHANGE = 3  # times as long may one exchange of gradients take: by then it is known who is behind, if it is a process


_NOWHERE = os.open(os.devnull, os.O_WRONLY)


class HostLost(RuntimeError):
    """Another process of the training died, hangs, is cut off or failed; the message names it."""


class Hosts:
    """What a process has to do with the others of its training.

    Args:
        places: of all of them.
        about: plain values that must be the same in all.
        tell: what to do with the last words of a process that has to be ended, as it waits within TensorFlow. None: they go to
            standard error.

    Attributes:
        places: as above.
        chief: whether this is the first process, the only one that writes.

    Raises:
        HostRefused, TimeoutError: see `meeting.meet`.
    """

    def __init__(self, places: Places, about: About, tell: Callable[[str], None] | None = None) -> None:
        self.places, self.chief = places, places.number == 0
        self._tell = tell or (lambda text: print(f"error: {text}", file=sys.stderr, flush=True))
        self._silence = float(os.environ.get("ATS_MAG_HOST_SILENCE", _SILENCE))
        self._stall = float(os.environ.get("ATS_MAG_HOST_STALL", _STALL))
        self._done = 0  # of what all do equally often
        self._others: dict[int, tuple[int, float]] = {}  # what each process has done, and since when
        self._peers = meet(places, about)
        self._heard = dict.fromkeys(self._peers, time.monotonic())
        self._answers: dict[int, queue.SimpleQueue[Message]] = {k: queue.SimpleQueue() for k in self._peers}
        self._gone: set[int] = set()
        self._lost: str | None = None
        self._known, self._lock = threading.Event(), threading.Lock()
        self._ended = threading.Event()
        for k, peer in self._peers.items():
            threading.Thread(target=self._listen, args=(k, peer), daemon=True).start()
        threading.Thread(target=self._live, daemon=True).start()

    def __len__(self) -> int:
        return len(self.places.addresses)

    @cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """Of all devices of all processes; the first use must come before any other of a device.

        Raises:
            RuntimeError: TensorFlow runs already.
        """
        import tensorflow as tf

        self.gather(
            "strategy", None
        )  # no thread runs while TensorFlow waits for the others here: they shall all be there
        gpus = len(tf.config.list_physical_devices("GPU"))
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(self.places.addresses)}),
            task_type="worker",
            task_id=self.places.number,
            num_accelerators={"GPU": gpus},
            rpc_layer="grpc",
        )
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_EXCHANGE * self._stall)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
        # All have equally many batches: to ask all, before every step, whether they have one more is an exchange for nothing.
        strategy.extended.experimental_enable_get_next_as_optional = False
        return strategy

    @property
    def share(self) -> Share:
        """What the devices of this process have of every batch."""
        own = len(self.strategy.extended.worker_devices)
        return Share(self.strategy.num_replicas_in_sync, own * self.places.number, own)

    def gather(self, what: str, value: Any) -> list[Any]:
        """What every process gives, in their order. All must call it alike, as often as each other.

        Args:
            what: names it, so that processes that went different ways are found.
            value: of this process, as JSON can hold it.

        Raises:
            HostLost: another process was lost meanwhile.
            RuntimeError: another process is somewhere else.
        """
        if not self.chief:
            self._send(0, {"what": what, "value": value})
            return self._answer(0, what)["values"]
        values = [value, *(self._answer(k, what)["value"] for k in sorted(self._peers))]
        for k in self._peers:
            self._send(k, {"what": what, "values": values})
        return values

    def of_chief(self, what: str, value: Any = None) -> Any:
        """What the first process gives; the others' is not looked at. See `gather`."""
        return self.gather(what, value if self.chief else None)[0]

    def check(self, what: str, about: About) -> None:
        """Compares plain values that must be the same in all.

        Raises:
            HostRefused: they are not, in all processes.
        """
        first, *others = self.gather(what, dict(about))
        for k, other in enumerate(others, 1):
            found = difference(self.places, k, first, other)
            if found is not None:
                raise HostRefused(found)

    def progress(self) -> None:
        """Notes that this process has come further in its step; for `SlideClassifier.on_progress`."""
        self._done += 1

    @contextlib.contextmanager
    def together(self) -> Iterator[Hosts]:
        """What the processes do together. An error within it ends all of them; at its end they wait for each other.

        Raises:
            HostLost: another process was lost, or failed.
        """
        try:
            yield self
            self.gather("end", None)
        except BaseException as error:
            if _of_exchange(error):  # TensorFlow may notice first that one is gone, and does not say which
                self._known.wait(self._silence + 5 * _BEAT)
            if self._lost is not None and not isinstance(error, HostLost):
                raise HostLost(self._lost) from None
            if self._lost is None and not isinstance(error, HostRefused):  # which all find at once
                text = "was interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
                self._tell_others({"failed": text})
            atexit.register(_exit_at_once)
            raise
        finally:
            self._ended.set()
            self._tell_others({"left": True})
            for peer in self._peers.values():
                peer.finish()
            if self._lost is None:
                _end_after(None)

    def _send(self, k: int, message: Message) -> None:
        try:
            self._peers[k].send(message)
        except OSError:
            self._lose(f"{self.places.named(k)} was lost: it died or was cut off")

    def _answer(self, k: int, what: str) -> Message:
        while True:
            if self._lost is not None:
                raise HostLost(self._lost)
            with contextlib.suppress(queue.Empty):
                message = self._answers[k].get(timeout=0.2)
                if message["what"] != what:
                    raise RuntimeError(
                        f"{self.places.named(k)} is at {message['what']!r}, and {self.places.named(self.places.number)} at {what!r}: "
                        "they went different ways (please report it)"
                    )
                return message

    def _listen(self, k: int, peer: Peer) -> None:
        """Takes what another process says, until it ends."""
        name = self.places.named(k)
        while True:
            try:
                message = peer.receive()
            except OSError:
                if k not in self._gone:
                    self._lose(f"{name} died: its process was killed, or its machine has stopped")
                peer.close()
                return
            self._heard[k] = time.monotonic()
            if "lost" in message:
                self._lose(message["lost"])
            elif "failed" in message:
                self._lose(f"{name} ended: {message['failed']}")
            elif "left" in message:
                self._gone.add(k)
            elif "what" in message:
                self._answers[k].put(message)
            elif "done" in message:
                self._note(k, message["done"])

    def _live(self) -> None:
        """Says that this process lives, and looks whether the others do."""
        last = time.monotonic()
        while not self._ended.wait(_BEAT):
            if self._lost is None:
                _end_after(self._silence + 2 * _GRACE)
            now = time.monotonic()
            if now - last > self._silence / 2:  # it is this process that stood still: what others said waits to be read
                self._heard = dict.fromkeys(self._peers, now)
            last = now
            for k, peer in self._peers.items():
                with contextlib.suppress(OSError):  # the listener finds out
                    peer.send({"done": self._done})
                if k not in self._gone and now - self._heard[k] > self._silence:
                    self._lose(
                        f"{self.places.named(k)} has not been heard for {self._silence:g} s: it hangs, or the network between it and "
                        f"{self.places.named(self.places.number)} is cut"
                    )

            if self.chief:
                self._note(self.places.number, self._done)
                self._look_who_is_behind(now)

    def _note(self, k: int, done: int) -> None:
        if self._others.get(k, (-1, 0.0))[0] != done:
            self._others[k] = done, time.monotonic()

    def _look_who_is_behind(self, now: float) -> None:
        """Finds a process that lives, but has not come further for long while others wait for it."""
        most = max(done for done, _ in list(self._others.values()))
        for k, (done, since) in list(self._others.items()):
            if done < most and now - since > self._stall and k not in self._gone:
                self._lose(
                    f"{self.places.named(k)} lives, but has been behind the others for {self._stall:g} s: it hangs, as where a file "
                    "system does not answer"
                )

    def _lose(self, text: str) -> None:
        """Notes, once, that a process is lost, tells the others, and sees that this one ends."""
        with self._lock:
            if self._lost is not None or self._ended.is_set():
                return
            self._lost = text
        _end_after(2 * _GRACE)
        self._known.set()
        if self.chief:
            self._tell_others({"lost": text})
        threading.Thread(target=self._end, args=(text,), daemon=True).start()

    def _tell_others(self, message: Message) -> None:
        for peer in self._peers.values():
            with contextlib.suppress(OSError):
                peer.send(message)

    def _end(self, text: str) -> None:
        """Ends the process, which may not be able to do so itself."""
        if not self._ended.wait(_GRACE):
            self._tell(text)
        time.sleep(1.0)  # for what it has to say
        _exit_at_once()


def _end_after(seconds: float | None) -> None:
    """Has the system end this process, if it is not told otherwise until then; None: it shall not."""
    if seconds is None:
        faulthandler.cancel_dump_traceback_later()
    else:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_NOWHERE)


def _of_exchange(error: BaseException) -> bool:
    """Whether an error came of TensorFlow's exchange between processes."""
    import tensorflow as tf

    broken = (
        tf.errors.UnavailableError
        | tf.errors.AbortedError
        | tf.errors.CancelledError
        | tf.errors.DeadlineExceededError
        | tf.errors.InternalError
    )
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, broken) or (isinstance(found, tf.errors.OpError) and "ollective" in found.message):
            return True
        found = found.__cause__ or found.__context__
    return False


def _exit_at_once() -> None:
    """Ends a process whose exchange was broken off: at an orderly end TensorFlow would wait for the others."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
