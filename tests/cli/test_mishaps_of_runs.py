"""What may befall a run between its commands: one line that names the file, and nothing half-written."""

import contextlib
import errno
import os
import shutil

import numpy as np
import pytest
from made_results import make_run
from made_run import prepared, write_config  # noqa: F401
from refusals import everything_in, forbid, full, refused, run  # noqa: F401

from ats_mag.records.schema import SUFFIX

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The folder of a run that was trained and evaluated."""
    folder = tmp_path_factory.mktemp("measured")
    make_run(folder, figures=False)
    return folder


@pytest.fixture
def study(measured, tmp_path):
    """A copy of one's own."""
    return shutil.copytree(measured, tmp_path / "study")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("evaluation.json", "{"),
        ("fold-0/metrics.json", '{"slides": '),
        ("fold-0/slides.csv", "slide_id\n\x00"),
        ("fold-0/history.csv", ""),
        ("run.json", "[]"),
        ("splits.csv", "nothing\n1\n"),
        ("run/manifest.csv", ""),
    ],
)
def test_report_of_a_run_with_a_damaged_file(study, file, content):
    damaged = study / "run" / file.removeprefix("run/")
    damaged.write_text(content)
    refused(damaged.name, "report", study / "config.yaml")


def test_report_that_cannot_be_written(study, monkeypatch):
    (old,) = [*study.rglob("report.html")] or [None]
    (folder,) = {file.parent for file in study.rglob("run.json")}
    if old is not None:
        old.unlink()
    before = everything_in(study)
    with monkeypatch.context() as patch:
        forbid(patch, folder, errno.EACCES)
        assert "Permission denied" in refused(str(folder), "report", study / "config.yaml")
    assert everything_in(study) == before


def test_report_on_a_full_disk(measured, full):  # noqa: F811
    for name in ("filling", "more"):  # the run itself finds room
        (full / name).unlink(missing_ok=True)
    os.system(f"mount -o remount,size=4m '{full}'")
    shutil.copytree(measured, full / "study")
    with open(full / "filling", "wb", buffering=0) as filling, contextlib.suppress(OSError):
        while True:
            filling.write(bytes(1 << 12))
    before = everything_in(full)
    assert "No space left" in refused("report.html", "report", full / "study" / "config.yaml")
    assert everything_in(full) == before


def test_report_and_train_of_what_was_not_begun(prepared, tmp_path):  # noqa: F811
    config = write_config(prepared, tmp_path / "none", epochs=1)
    refused("holds no run", "report", config)


def test_train_on_records_that_are_not_there_or_damaged(prepared, tmp_path):  # noqa: F811
    shutil.copytree(prepared / "records", tmp_path / "records")
    shutil.copytree(prepared / "slides", tmp_path / "slides")
    shutil.copy(prepared / "manifest.csv", tmp_path)
    config = write_config(tmp_path, tmp_path / "run", epochs=1)
    record = sorted((tmp_path / "records").glob(f"*{SUFFIX}"))[0]
    whole = record.read_bytes()
    for damaged in (whole[:-100], whole[:7], b"", whole[:50] + b"x" + whole[51:]):
        record.write_bytes(damaged)
        refused(record.name, "train", config)
    shutil.rmtree(tmp_path / "records")
    refused("ats-mag prepare", "train", config)
    assert not list((tmp_path / "run").rglob("*.keras"))


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, *(pytest.param(code, marks=pytest.mark.long) for code in (errno.EROFS, errno.EIO))]
)
def test_train_where_checkpoints_find_no_room(prepared, tmp_path, monkeypatch, code):  # noqa: F811
    config = write_config(prepared, tmp_path / "run", epochs=1, batch_size=7)

    def failing(stream, **arrays):
        stream.write(b"a part")
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("ats_mag.model.training_step.DEFAULT_PARTS", 1)
        patch.setattr(np, "savez", failing)
        said = refused(os.strerror(code), "train", config)
    if code != errno.EIO:
        assert str(tmp_path / "run" / "fold-0" / "checkpoints") in said
    assert not [name for name in everything_in(tmp_path) if name.endswith((".tmp", ".npz", ".keras"))]


def test_ctrl_c_while_training(prepared, tmp_path, monkeypatch):  # noqa: F811
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ats_mag.training.fit._fit", interrupt)
    status, _, error = run("train", write_config(prepared, tmp_path / "run", epochs=1))
    assert status == 130
    assert "the same command goes on from there" in error
    assert "Traceback" not in error


def test_encoders_in_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setenv("ATS_MAG_ENCODERS", str(closed))
    real = os.listdir

    def listdir(path="."):
        if os.fspath(path) == str(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(closed))
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    refused(str(closed), "encoders")


@pytest.mark.parametrize("error", [ImportError("no library: run `make`"), OSError("libstdc++ is too old")])
def test_doctor_without_a_reader(monkeypatch, error):
    def missing():
        raise error

    monkeypatch.setattr("ats_mag.slides.doctor.load_op", missing)
    status, out, said = run("doctor")
    assert status == 1
    assert str(error) in out
    assert "Traceback" not in out + said
