"""The process of a `Worker`: a script for any environment of Python 3.7 or newer, which imports nothing of this repository."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from multiprocessing.connection import Connection


def serve(pipe: Connection) -> None:
    """The process's side."""
    made = None
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        try:
            if made is None:
                factory, settings, cpus = message
                if cpus is not None:
                    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cpus:])
                module, name = factory.split(":")
                made = getattr(importlib.import_module(module), name)(**settings)
                answer = True, None
            else:
                answer = True, getattr(made, message[0])(*message[1])
        except Exception as error:
            traceback.print_exc()
            answer = False, f"{type(error).__name__}: {error}"
        pipe.send(answer)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
