"""Commands that are to refuse, in this process, and the mishaps that befall them."""

import contextlib
import io
import os
from pathlib import Path

import pytest

from ats_mag.cli import app
from ats_mag.cli.console import run_app


def run(*arguments):
    """Status, standard output and standard error of a command in this process."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), pytest.raises(SystemExit) as ended:
        run_app(lambda: app([*map(str, arguments)]))
    return ended.value.code, out.getvalue(), error.getvalue()


def refused(named, *arguments, errors=1):
    """The command fails with one message of one line, which holds `named`."""
    status, out, error = run(*arguments)
    about = ("prepared ", "note:", "Converting")  # and the empty line where a bar was
    said = [line for line in error.splitlines() if line.strip() and not line.startswith(about)]
    assert status == 1, error
    assert len(said) == errors, error
    assert "Traceback" not in out + error
    assert "not foreseen" not in error
    assert named in error, error
    return error


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def forbid(patch, folder, code):
    """Nothing can be made in a folder or below it."""

    def refusing(real, of=lambda *args: args[0]):
        def call(*args, **options):
            path = of(*args)
            inside = isinstance(path, str | os.PathLike) and Path(path).absolute().is_relative_to(folder)
            if inside and not os.path.lexists(path):
                raise OSError(code, os.strerror(code), os.fspath(path))
            return real(*args, **options)

        return call

    real_open, writing = os.open, os.O_CREAT

    def low(path, flags, *args, **options):
        return (refusing(real_open) if flags & writing else real_open)(path, flags, *args, **options)

    patch.setattr(os, "open", low)
    patch.setattr(os, "mkdir", refusing(os.mkdir))

    def high(file, mode="r", *args, **options):
        return (refusing(io_open) if set(mode) & set("wax") else io_open)(file, mode, *args, **options)

    io_open = io.open
    patch.setattr("builtins.open", high)
    patch.setattr(io, "open", high)


@pytest.fixture
def full(tmp_path):
    """A disk of 64 kB, nearly full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs '{disk}' 2>/dev/null"):
        pytest.skip("needs the right to mount")
    try:
        (disk / "filling").write_bytes(bytes(60 << 10))
        with contextlib.suppress(OSError), open(disk / "more", "wb", buffering=0) as more:
            while True:
                more.write(bytes(512))
        yield disk
    finally:
        os.system(f"umount '{disk}'")
