"""A process that reads files, fed one at a time and started anew when it dies: crashes and hangs become outcomes."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Target:
    """Runs `command`, which takes lines "SEED PATH" and answers each with a line of JSON.

    Args:
        command: the command line.
        environment: added to this process's own.
        seconds: a file that takes more processor time, or six times as long, is a hang; the machine may be busy.
        most_kib: a file that takes this much more memory than the process had is a fault.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], seconds: float = 10, most_kib: int = 1 << 20
    ):
        self._command = list(command)
        self._environment = os.environ | dict(environment)
        self._seconds = seconds
        self._most_kib = most_kib
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process: subprocess.Popen[bytes] | None = None
        self._before_kib = 0

    def run(self, path: str | os.PathLike[str], seed: int) -> dict[str, Any]:
        """What became of a file.

        Returns:
            The target's answer, its faults with the harness's own among them; or `{"crash": report}`, or
            `{"hang": report}`, where the report is what the process wrote to stderr, its last lines.
        """
        process = self._process or self._start()
        try:
            process.stdin.write(f"{seed} {path}\n".encode())
            process.stdin.flush()
        except BrokenPipeError:
            return {"crash": self._end()}
        line = self._line()
        if line is None:
            process.send_signal(signal.SIGABRT)  # on which a sanitizer prints where it was
            return {"hang": self._end()}
        if not line.endswith(b"\n"):
            return {"crash": self._end()}
        answer = json.loads(line)
        grown = answer["peak_kib"] - self._before_kib
        if self._before_kib and grown > self._most_kib:
            answer["faults"].append(f"memory: {grown >> 10} MiB more than before")
        self._before_kib = answer["rss_kib"]
        return answer

    def stop(self) -> None:
        """Ends the process; the next file starts another."""
        if self._process is not None:
            self._process.stdin.close()
            self._end()

    def __enter__(self) -> "Target":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._errors.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._errors.truncate(0)
        self._errors.seek(0)
        self._before_kib = 0
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        return self._process

    def _line(self) -> bytes | None:
        """The next line; less at the end of the process; None after the time is up."""
        line, began, worked = b"", time.monotonic(), self._processor_seconds()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(self._seconds / 4):
                    late = time.monotonic() - began > 6 * self._seconds
                    if late or self._processor_seconds() - worked > self._seconds:
                        return None
                    continue
                part = os.read(self._process.stdout.fileno(), 1 << 16)
                if not part:
                    break
                line += part
        return line

    def _processor_seconds(self) -> float:
        """Of the busiest thread: several that work together are not slower for it."""
        times = []
        for stat in Path(f"/proc/{self._process.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):  # the thread has just ended
                fields = stat.read_text().rpartition(")")[2].split()
                times.append(int(fields[11]) + int(fields[12]))
        return max(times, default=0) / os.sysconf("SC_CLK_TCK")

    def _end(self) -> str:
        """Waits for the end, by force if need be; what the process said."""
        process, self._process = self._process, None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace")
        return f"exit status {process.returncode}\n{text[-12000:]}"


_SMALL_CACHES = {
    "ATS_MAG_THREADS": "2",
    "ATS_MAG_MAX_OPEN_SLIDES": "3",
    "ATS_MAG_CACHE_BYTES": str(8 << 20),
}
_SANITIZERS = {
    "ASAN_OPTIONS": ":".join(
        (
            "detect_leaks=0",  # flat memory over many files tells; OpenSlide's library is never unloaded
            "handle_abort=1",
            "strict_string_checks=1",
            "detect_stack_use_after_return=1",
            "quarantine_size_mb=16",
            "allocator_may_return_null=1",
            "max_allocation_size_mb=512",  # more takes the sanitizer seconds, and no sound file needs it
            "hard_rss_limit_mb=3072",
        )
    ),
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
REFUSED_ALLOCATION = "failed to allocate"  # what GLib says when it gives up


def sanitized(driver: Path, sound: Path, seconds: float = 10) -> Target:
    """The driver that was built with sanitizers."""
    return Target([str(driver), str(sound)], _SMALL_CACHES | _SANITIZERS, seconds)


def plain(driver: Path, sound: Path, direct: bool = True, gibibytes: int = 16) -> Target:
    """The driver without sanitizers, in the memory of a common workstation; with or without the op's own decoding."""
    limited = ["sh", "-c", f'ulimit -v {gibibytes << 20} && exec "$@"', "sh"]
    return Target([*limited, str(driver), str(sound)], _SMALL_CACHES | {"ATS_MAG_DIRECT": str(int(direct))})
