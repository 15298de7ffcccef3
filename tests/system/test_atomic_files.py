"""Whole files and folders: there or not, nothing is left of those that could not be written, and errors name them."""

import errno
import os
import resource
import signal

import pytest

from ats_mag.system.atomic_files import check_place, whole_file, whole_folders, write_whole


@pytest.fixture
def small_disk():
    """No file may get larger than 5 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path, small_disk):
    file = tmp_path / "a.csv"
    file.write_bytes(b"before")
    with pytest.raises(OSError, match=r"could not be written: '.*/a\.csv'") as caught:
        write_whole(file, bytes(10_000))
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(tmp_path) == ["a.csv"]
    assert file.read_bytes() == b"before"


@pytest.mark.parametrize("place", ["none/a.csv", "file/a.csv", "a" * 300])
def test_a_place_that_does_not_exist_is_named(tmp_path, place):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="could not be written: ") as caught:
        write_whole(tmp_path / place, b"x")
    assert caught.value.filename == str(tmp_path / place)
    assert os.listdir(tmp_path) == ["file"]


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (lambda: write_whole(pipe, b"x"), lambda: check_place(pipe)):
        with pytest.raises(OSError, match="pipe' is a device or a pipe"):
            write()
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_errors_of_reading_keep_their_own_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "a"):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")


def test_folders_appear_together_or_not_at_all(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"

    def write(fail):
        with whole_folders(one, two) as made:
            for folder in made:
                folder.mkdir()
                (folder / "x").write_text("x")
                if fail:
                    raise RuntimeError

    with pytest.raises(RuntimeError):
        write(True)
    assert os.listdir(tmp_path) == []
    write(False)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["one", "one/x", "two", "two/x"]
