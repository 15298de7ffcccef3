"""The command line's output, which takes every name that a file may have."""

from __future__ import annotations

import codecs
import io
import os
import sys

_HANDLER = "ats_mag.names"


def take_any_name() -> None:
    """Lets standard output and error take names that are no UTF-8, as the bytes that they are on the disk.

    What the terminal's encoding has no sign for becomes an escape.
    """
    codecs.register_error(_HANDLER, _as_bytes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def hush_libraries() -> None:
    """Sends what compiled libraries log to standard error nowhere; Python's own messages still get there.

    TensorFlow logs its start and every failed op whatever its log level. `ATS_MAG_TRACEBACK=1` shows it all.
    """
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)


def _as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    signs = [
        bytes([ord(sign) - 0xDC00]) if "\udc80" <= sign <= "\udcff" else sign.encode("ascii", "backslashreplace")
        for sign in text
    ]
    return b"".join(signs), error.end
