"""Where no more files can be opened, whoever works through slides stops and names the limit, and blames none of them."""

import errno
import gc
import os
import resource

import numpy as np
import pytest

from ats_mag.preparation.job import Job
from ats_mag.preparation.slide import prepare_slide
from ats_mag.runs.check_slide import SlideJob, check_slide
from ats_mag.slides import numpy_reader
from ats_mag.slides.slide_files import slide_files
from ats_mag.system.open_files import TooManyOpenFiles, limit_behind, once_more


def preparing(slide, out):
    return Job(
        slide_id="s",
        patient_id="p",
        path=os.path.basename(slide),
        label="a",
        split="",
        mpp=None,
        slide_root=os.path.dirname(slide),
        out=str(out),
        overview_mpp=8.0,
        default_mpp=None,
        empty_mask="whole",
        stride=None,
        version=__import__("ats_mag").__version__,
    )


def checking(slide):
    return SlideJob("s", os.path.basename(slide), os.path.dirname(slide), None, None, 8.0, (0.5,), 32, 2, 4, "whole")


@pytest.fixture
def full():
    """`full()` -> no more files can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []

    def fill():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                return

    yield fill
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("work", ["prepare", "validate"])
def test_the_limit_is_no_finding_about_the_slide(work, tissue_slide, tmp_path, full):
    slide = str(tissue_slide)
    job, do = (preparing(slide, tmp_path), prepare_slide) if work == "prepare" else (checking(slide), check_slide)
    do(job)  # so that all that has to be imported is
    numpy_reader.close_idle()
    gc.collect()  # of other tests, whose files would be given back
    full()
    with pytest.raises(TooManyOpenFiles, match=r"this process may have 200 of them; raise the limit \(`ulimit -n"):
        do(job)


@pytest.mark.parametrize("work", ["prepare", "validate"])
def test_handles_that_are_not_in_use_are_given_back(work, tissue_slide, tmp_path, full, monkeypatch):
    slide = str(tissue_slide)
    job, do = (preparing(slide, tmp_path), prepare_slide) if work == "prepare" else (checking(slide), check_slide)
    closed = []

    def limited_once(path):
        if not closed:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return slide_files(path)

    monkeypatch.setattr("ats_mag.preparation.job.slide_files", limited_once)
    monkeypatch.setattr("ats_mag.slides.slide_files.slide_files", limited_once)
    monkeypatch.setattr(numpy_reader, "close_idle", lambda: closed.append(True))
    found = do(job)
    assert closed == [True]
    assert (found.error is None) if work == "prepare" else (not found.problems)


def test_closing_gives_descriptors_back(tissue_slide):
    from ats_mag.slides.paths import encode_paths

    numpy_reader.close_idle()
    before = len(os.listdir("/proc/self/fd"))
    numpy_reader.read_patches(encode_paths([tissue_slide]), np.zeros((1, 1, 2)), np.ones((1, 1)), (8, 8))
    assert len(os.listdir("/proc/self/fd")) > before
    numpy_reader.close_idle()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_limit_is_found_behind_other_errors():
    wrapped = ValueError("mask 'm.png' cannot be read")
    wrapped.__cause__ = OSError(errno.ENFILE, "x")
    assert isinstance(limit_behind(wrapped), TooManyOpenFiles)
    assert limit_behind(OSError(errno.ENOENT, "x")) is None
    with pytest.raises(ValueError, match="bad"):
        once_more(lambda: (_ for _ in ()).throw(ValueError("bad")), lambda: None)


def test_a_command_ends_with_the_limit(tissue_slide, tmp_path, monkeypatch, capsys):
    from ats_mag.cli.console import run_app

    def app():
        raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(SystemExit):
        run_app(app)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ulimit -n" in said
