"""`ats-mag convert`: files and folders, what cannot be used, and a conversion that is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest
from command_line import WIDE, here
from PIL import Image

from ats_mag.cohort.manifest import ManifestError, read_manifest
from ats_mag.slides.properties import slide_info
from ats_mag.slides.writing import flat_many


def _command(*arguments):
    return [sys.executable, "-m", "ats_mag.cli", "convert", *map(str, arguments)]


def _convert(*arguments, status=0):
    return "".join(here("convert", *arguments, status=status, width=WIDE))


@pytest.fixture
def images(tmp_path, picture):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(picture(i)).save(folder / f"field {i}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.mark.processes
def test_a_folder_of_images(images, tmp_path):
    out = tmp_path / "out"
    said = _convert(images, "--out", out, "--mpp", "20x", "--workers", 2)
    assert "6 images: 6 written, 0 kept, 0 failed" in said
    assert "6 at 0.5 um/px (20x), from argument" in said
    assert {file.name for file in out.iterdir()} == {f"field {i}.tiff" for i in range(6)}
    assert slide_info(out / "field 3.tiff").mpp == pytest.approx(0.5)
    assert "6 images: 0 written, 6 kept" in _convert(images, "--out", out, "--mpp", "0.5", "--workers", 1)
    assert "6 images: 6 written" in _convert(images, "--out", out, "--mpp", "0.5", "--workers", 1, "--overwrite")


def test_a_manifest_of_images_whose_folders_are_their_classes(images, tmp_path, picture):
    (tmp_path / "tumour").mkdir()
    Image.fromarray(picture(7)).save(tmp_path / "tumour" / "field 7.png")
    out, file = tmp_path / "out", tmp_path / "cohort.csv"
    command = (images, tmp_path / "tumour", "--out", out, "--mpp", "20x", "--workers", 1, "--manifest", file)
    assert "labels: images, tumour" in _convert(*command)
    table = read_manifest(file, slides=out)
    assert table["label"].tolist() == ["images"] * 6 + ["tumour"]
    assert table["path"].tolist() == [f"field {i}.tiff" for i in (*range(6), 7)]
    before = file.read_bytes()
    assert "exists already" in _convert(*command, status=1)
    assert file.read_bytes() == before


def test_a_manifest_of_one_folder_has_no_labels_and_one_of_failures_is_not_written(images, tmp_path):
    file = tmp_path / "cohort.csv"
    command = (images, "--out", tmp_path / "out", "--mpp", "20x", "--workers", 1, "--manifest", file)
    assert "labels: to be filled in" in _convert(*command)
    with pytest.raises(ManifestError, match="line 2: the column 'label' is empty"):
        read_manifest(file)
    file.unlink()
    (images / "field 0.png").write_bytes(b"")
    assert "no manifest was written" in _convert(*command, "--overwrite", status=1)
    assert not file.exists()


def test_what_cannot_be_used_is_named_and_the_rest_is_done(images, tmp_path, picture):
    (images / "field 0.png").write_bytes(b"")
    Image.fromarray(picture(9)).save(images / "scanned.tif", dpi=(50800, 50800))
    said = _convert(images, "--out", tmp_path / "out", "--workers", 1, status=1)
    assert said.count("failed: ") == 2  # of five the reason is the same
    assert "field 0.png' cannot be read" in said
    assert "; the same of 4 more: " in said
    assert "field 1.png' is unknown: the file states none; give its true resolution (`--mpp`, um/px)" in said
    assert "7 images: 1 written, 0 kept, 6 failed" in said
    assert "1 at 0.5 um/px (20x), from TIFF XResolution" in said
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["scanned.tiff"]


def test_bad_arguments(images, tmp_path):
    out = ("--out", tmp_path / "out")
    Image.new("RGB", (64, 64)).save(images / "field 1.jpg")
    assert "would become the same slide" in _convert(images, *out, "--mpp", 1, status=1)
    assert "absent.png' does not exist" in _convert(images / "absent.png", *out, status=1)
    assert "holds no image (.bmp" in _convert(tmp_path, *out, status=1)
    assert "a resolution is um/px" in _convert(images / "field 2.png", *out, "--mpp", "fine", status=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_killed_conversion_goes_on(tmp_path, picture):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for i in range(4):
        Image.fromarray(picture(i, 2048, 2048)).save(images / f"{i}.png")
    _convert(images, "--out", tmp_path / "whole", "--mpp", 0.5, "--workers", 1)
    for _ in range(10):
        running = subprocess.Popen(
            _command(images, "--out", out, "--mpp", 0.5, "--workers", 1), stderr=subprocess.DEVNULL
        )
        before = len(list(out.glob("*.tiff"))) if out.exists() else 0
        while running.poll() is None and not (out.exists() and len(list(out.glob("*.tiff"))) > before):
            time.sleep(0.005)
        running.kill()
        running.wait()
        if len(list(out.glob("*.tiff"))) == 4:
            break
    _convert(images, "--out", out, "--mpp", 0.5, "--workers", 1)
    assert sorted(os.listdir(out)) == sorted(os.listdir(tmp_path / "whole"))
    for slide in out.iterdir():
        assert slide.read_bytes() == (tmp_path / "whole" / slide.name).read_bytes()


def die_at_b(job):
    if job[0].name == "b.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return flat_many.Converted(*job[:2], "written", 0.5, "argument")


@pytest.mark.long
@pytest.mark.processes
def test_an_image_that_ends_its_process_costs_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(flat_many, "_convert", die_at_b)
    slides = flat_many.slide_names([tmp_path / f"{name}.png" for name in "abcd"], tmp_path / "slides")
    done = {
        converted.image.stem: converted for converted in flat_many.convert_images(slides, flat_many.Conversion(), 2)
    }
    assert {stem: converted.status for stem, converted in done.items()} == {
        "a": "written", "b": "failed", "c": "written", "d": "written"
    }  # fmt: skip
    assert "b.png' cannot be converted: the process that read it died (signal 9: Killed)" in done["b"].error
