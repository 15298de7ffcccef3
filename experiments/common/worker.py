"""A contestant in a process of its own: with its own environment, processors and caches, called through a pipe.

worker = Worker("experiments.benchmarks.reading.readers:Ours", {"threads": 2}, {"ATS_MAG_DIRECT": "0"}, cpus=2)
worker("read", places, size)  # calls that method of `Ours(threads=2)` there
worker.close()
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from experiments.common.processes import environment as of_this_process

SERVER = Path(__file__).with_name("worker_process.py")
PATIENCE = 600  # seconds until a contestant that does not answer is given up


class WorkerError(RuntimeError):
    """What a contestant raised, or that its process died or hangs."""


class Worker:
    """A process that holds one object and calls its methods.

    Args:
        factory: `module:name`, which is called there with `settings`.
        settings: keyword arguments.
        environment: variables set on top of this process's before anything is imported.
        cpus: how many processors the process is held to; None: as many as this one.
        python: interpreter of another environment, of Python 3.7 or newer; None: this one.
        folder: where the other environment finds `module`; None: it is found as here.

    Raises:
        WorkerError: the object cannot be made, e.g. as its package is not installed.
    """

    def __init__(
        self,
        factory: str,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        cpus: int | None = None,
        python: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self._pipe, theirs = Pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        variables = of_this_process()
        if folder is not None:  # another environment's packages are its own
            variables["PYTHONPATH"] = str(folder)
        self._process = subprocess.Popen(
            [python or sys.executable, str(SERVER), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**variables, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        theirs.close()
        try:
            self._ask(factory, dict(settings or {}), cpus)
        except WorkerError:
            self.close()
            raise

    def __call__(self, method: str, *arguments: Any) -> Any:
        return self._ask(method, arguments)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _ask(self, *message: Any) -> Any:
        try:
            self._pipe.send(message)
            if not self._pipe.poll(PATIENCE):
                self._process.kill()
                raise WorkerError(f"no answer within {PATIENCE} s")
            well, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.wait()
            raise WorkerError(f"the process died with {self._process.returncode}: {self._last_words()}") from error
        if not well:
            raise WorkerError(answer)
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read()[-500:].decode(errors="replace").strip()
