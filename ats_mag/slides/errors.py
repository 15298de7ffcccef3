"""The slide library's errors as ordinary Python exceptions, whichever way they come."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ats_mag.system.open_files import TooManyOpenFiles

if TYPE_CHECKING:
    import tensorflow as tf


_KERAS_CALL = re.compile(
    r"Exception encountered when calling .*?\.\n\n\x1b\[1m(.*)\x1b\[0m\n\nArguments received by .*", re.DOTALL
)


class SlideError(OSError):
    """A file that exists but cannot be opened as a slide, or whose pixels cannot be read."""


def exception_of(code: int, message: str) -> Exception:
    """The exception for one of the library's status codes (those of absl, as in `op/error.h`)."""
    match code:
        case 3:  # invalid argument
            return SlideError(message) if message.startswith("cannot open slide") else ValueError(message)
        case 5:  # not found
            return FileNotFoundError(message)
        case 7:  # permission denied
            return PermissionError(message)
        case 8:  # resource exhausted: open files, or memory
            return TooManyOpenFiles(message) if message.startswith("cannot open slide") else MemoryError(message)
        case 15:  # data loss
            return SlideError(message)
        case _:
            return RuntimeError(message)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Within it, errors of TensorFlow's ops and JAX's callbacks become ordinary exceptions with readable messages."""
    try:
        yield
    except Exception as error:
        plain = _plain(error)
        if plain is None:
            raise
        raise plain from error


@contextlib.contextmanager
def naming_key(key: str | None) -> Iterator[None]:
    """Within it, errors of slides that cannot be read say which key of the configuration goes on without them.

    Args:
        key: such as `train.on_bad_slide`. None: there is none, or it is set.
    """
    try:
        yield
    except SlideError as error:
        if key is None:
            raise
        raise SlideError(f"{error}; to go on without such slides, set `{key}: skip`") from error


def translate_op_error(error: tf.errors.OpError) -> Exception:
    """Returns the Python exception for a `tf.errors.OpError`, however deep in a graph or data pipeline it was raised."""
    return exception_of(error.error_code, _message(error.message or str(error)))


class CallbackErrors:
    """Keeps what a JAX callback raised: JAX itself passes on nothing but its text, below a long traceback."""

    def __init__(self) -> None:
        self._last: Exception | None = None

    def keep(self, error: Exception) -> None:
        """Called inside the callback."""
        self._last = error

    def behind(self, error: Exception) -> Exception | None:
        """The kept exception that made JAX raise `error`, once."""
        kept = self._last
        if kept is None or str(kept) not in str(error):
            return None
        self._last = None
        return kept.with_traceback(None)


callback_errors = CallbackErrors()


def _plain(error: Exception) -> Exception | None:
    loaded: Any = sys.modules.get("tensorflow")  # an error of TensorFlow's comes only where it has been imported
    if loaded is not None and isinstance(error, loaded.errors.OpError):
        return translate_op_error(error)
    kept = callback_errors.behind(error)
    if kept is not None:
        return kept
    text = str(error)
    message = _without_call(text)
    if message == text or not isinstance(error, ValueError | RuntimeError | TypeError):
        return None
    return type(error)(message)


def _without_call(text: str) -> str:
    """A message without the arguments of the layer's call in which it came up, which Keras wraps around it."""
    found = _KERAS_CALL.search(text)
    return text if found is None else found.group(1)


def _message(text: str) -> str:
    """An op's own message, without what TensorFlow wraps around it."""
    text = _without_call(text)
    text = re.sub(r"\{\{\w+ [^}]*\}\}", "", text)  # {{function_node __wrapped__...}}, {{node ...}}
    text = re.sub(r"\n\s*\[\[.*?\]\]", "", text)  # on lines of their own: a path may hold brackets, too
    text = re.sub(r"\s*\[Op:[^\]]*\]( name:\s*\S*)?\s*$", "", text)
    text = re.sub(r"^\s*Error in user-defined function passed to .*?iterator: \S+: ", "", text)  # from a tf.data.map
    # "Graph execution error:", "Detected at node ... (most recent call last):" and an indented trace come first.
    _, found, rest = text.rpartition("(most recent call last):\n")
    if found:
        lines = rest.splitlines()
        while len(lines) > 1 and (not lines[0].strip() or lines[0].startswith((" ", "<stack traces"))):
            lines.pop(0)
        text = "\n".join(lines)
    return text.strip()
