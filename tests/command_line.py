"""Commands in this process: each of its own would take seconds to begin."""

import contextlib
import io
import runpy
import sys
import warnings

import pytest

from ats_mag.cli import app
from ats_mag.cli.console import console, errors, run_app

WIDE = 500  # characters of a line, so that none is broken


def here(*arguments, status=0, width=None):
    """Standard output and error of `ats-mag ARGUMENTS`, which ends with `status`; `width` of lines: None: the terminal's."""
    out, error = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
        _lines_of(width),
        pytest.raises(SystemExit) as ended,
    ):
        run_app(lambda: app([*map(str, arguments)]))
    assert ended.value.code == status, error.getvalue()
    return out.getvalue(), error.getvalue()


def module_here(module, *arguments, status=0):
    """What `python -m MODULE ARGUMENTS` says, standard output and error together."""
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        _lines_of(WIDE) as patch,
        warnings.catch_warnings(),
    ):
        patch.setattr(sys, "argv", [module, *map(str, arguments)])
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", ".*found in sys.modules")
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
    assert code == status, said.getvalue()
    assert "Traceback" not in said.getvalue()
    return said.getvalue()


@contextlib.contextmanager
def _lines_of(width):
    with pytest.MonkeyPatch.context() as patch:
        if width is not None:
            for shown in (console, errors):
                patch.setattr(shown, "_width", width)
        yield patch
