import json
import os

import numpy as np
import pandas as pd
import pytest
from command_line import here
from skimage import data
from typer.testing import CliRunner

from ats_mag.cli import app
from ats_mag.config.reading import read_config
from ats_mag.geometry.levels import choose_level
from ats_mag.runs.validate import validate
from ats_mag.slides import numpy_reader
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.writing.pyramid import write_pyramid

YAML = """
data: {slides: slides, manifest: manifest.csv}
splits: {kind: manifest, validation: 0}
prepare: {workers: 2}
model: {patch_size: 32, stride: 2, n_patches: 4, magnifications: [40x, 10x]}
"""
MPP = (0.23, 0.25, 0.46, 0.5)
LEVELS = ((1, 4, 16), (1, 2, 4, 8), (1,), (1, 4))


def write_slide(file, i, side=768):
    image = np.full((side, side, 3), 245, np.uint8)
    image[128:640, 128:640] = np.roll(data.immunohistochemistry(), 31 * i, axis=1)
    return write_pyramid(file, image, MPP[i % 4], LEVELS[i % 4])


def cut(file):
    file.write_bytes(file.read_bytes()[:20_000])


def blot(file):
    """Damages the pixels of level 0, but not what the file says of itself."""
    content = bytearray(file.read_bytes())
    content[2000 : len(content) // 2] = bytes(len(content) // 2 - 2000)
    file.write_bytes(content)


def without_mpp(file):
    """Removes the TIFF tags XResolution and YResolution from all directories, by making them tags that no one knows."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        offsets = [tag.offset for page in tiff.pages for tag in page.tags if tag.code in (282, 283)]
        order = tiff.byteorder
    with open(file, "r+b") as raw:
        for i, offset in enumerate(offsets):
            raw.seek(offset)
            raw.write((65000 + i).to_bytes(2, "little" if order == "<" else "big"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Eight sound slides of four scanners and four patients, of two classes in both parts."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "slides").mkdir()
    rows = []
    for i in range(8):
        write_slide(folder / "slides" / f"s{i}.tif", i)
        rows.append((f"s{i}", f"p{i // 2}", "ab"[i % 2], "train" if i < 4 else "test"))
    pd.DataFrame(rows, columns=["slide_id", "case_id", "label", "split"]).to_csv(folder / "manifest.csv", index=False)
    (folder / "c.yaml").write_text(YAML)
    return folder


@pytest.fixture
def study(made, tmp_path):
    """A copy to break."""
    import shutil

    shutil.copytree(made, tmp_path / "study")
    return tmp_path / "study"


def check(study, text=YAML):
    (study / "c.yaml").write_text(text)
    return validate(read_config(study / "c.yaml"))


def problems(report):
    return {
        slide["slide_id"]: kinds
        for slide in report["slides"]
        if (kinds := [problem["kind"] for problem in slide["problems"] if problem["kind"] != "note"])
    }


def test_names_in_another_encoding_are_told(study):
    """As they come from old archives; a slide of the table must have one that can be written down."""
    name = os.fsencode(study / "slides") + b"/M\xfcller.tif"
    with open(name, "wb") as file:
        file.write(b"x")
    (study / "c.yaml").write_text(YAML)
    done = CliRunner().invoke(app, ["validate", str(study / "c.yaml")])
    assert done.exit_code == 0, done.output
    assert "in the folder, not in the table: M\\xfcller.tif" in done.output
    assert "classes, in the order of the outputs: a, b" in done.output
    assert "positive class: b" in done.output
    os.rename(study / "slides", os.fsencode(study) + b"/old\xfc")
    (study / "slides").mkdir()
    os.rename(os.fsencode(study) + b"/old\xfc", os.fsencode(study / "slides") + b"/old\xfc")
    (stop,) = check(study)["stops"]
    assert r"line 2: the path of the slide is 'old\xfc/s0.tif', which is no UTF-8: rename" in stop


def test_a_sound_study(made):
    report = validate(read_config(made / "c.yaml"))
    assert report["stops"] == []
    assert report["warnings"] == [
        "a cell is 16 um wide and a patch at 0.25 um/px 8 um: 75% of the tissue is never seen at it; lower `model.stride` or "
        "`prepare.overview_mpp`, or raise `model.patch_size`",
        "4 patient(s) have slides of different labels, such as p0 (a, b): they count as the rarest of them when patients are "
        "divided, and are not measured as patients",
        "0.25 um/px is finer than 4 slide(s): their pixels are enlarged for it, and show no more detail",
    ]
    assert json.loads(json.dumps(report)) == report
    assert (report["classes"], report["positive"]) == (["a", "b"], "b")
    assert [slide["slide_id"] for slide in report["slides"]] == [f"s{i}" for i in range(8)]
    assert [slide["mpp"] for slide in report["slides"][:4]] == pytest.approx(MPP, rel=1e-3)
    assert {slide["mpp_source"] for slide in report["slides"]} == {"openslide.mpp-x"}
    levels = [
        [(level["level"], level["how"], round(level["factor"], 1)) for level in s["levels"]]
        for s in report["slides"][:4]
    ]
    assert levels == [
        [(0, "average", 1.1), (1, "average", 1.1)],
        [(0, "copy", 1.0), (2, "copy", 1.0)],
        [(0, "interpolate", 0.5), (0, "average", 2.2)],
        [(0, "interpolate", 0.5), (0, "average", 2.0)],
    ]
    assert [len(slide["problems"]) for slide in report["slides"][:4]] == [0, 0, 1, 1]  # enlarged
    assert all(0.1 < slide["tissue"] < 0.5 for slide in report["slides"])
    assert report["folder"] == {"not_in_table": [], "not_in_folder": []}
    assert report["patients"] == {"number": 4, "across": []}
    assert {"fold": 0, "part": "train", "label": "a", "slides": 2, "patients": 2} in report["labels"]
    assert not (made / "run").exists()


def test_every_bad_slide_is_named_with_its_reason(study):
    slides = study / "slides"
    cut(slides / "s0.tif")
    blot(slides / "s1.tif")
    (slides / "s2.tif").write_bytes(b"")
    (slides / "s3.tif").unlink()
    without_mpp(slides / "s4.tif")
    write_pyramid(slides / "s5.tif", np.full((512, 512, 3), 250, np.uint8), 0.5)
    write_slide(slides / "more.tif", 3)
    report = check(study)
    assert problems(report) == {
        "s0": ["unreadable"],
        "s1": ["damaged"],
        "s2": ["unreadable"],
        "s3": ["unreadable"],
        "s4": ["no mpp"],
        "s5": ["no tissue"],
    }
    assert report["folder"] == {"not_in_table": ["more.tif"], "not_in_folder": ["s3"]}
    assert any(text.startswith("5 slide(s) cannot be prepared") for text in report["stops"])
    assert any(text.startswith("1 slide(s) cannot be read everywhere") for text in report["stops"])
    text = YAML.replace("data: {", "data: {default_mpp: 0.46, ")
    text = text.replace("workers: 2", "workers: 2, on_bad_slide: skip, empty_mask: whole")
    report = check(study, text + "train: {on_bad_slide: skip}\n")
    assert set(problems(report)) == {"s0", "s1", "s2", "s3"}
    (s4,) = (slide for slide in report["slides"] if slide["slide_id"] == "s4")
    assert (s4["mpp"], s4["mpp_source"]) == (0.46, "default")
    # All four training slides are bad: skipping them leaves nothing to train on.
    assert report["stops"] == [
        text for text in report["stops"] if text.startswith("the training part of fold 0 is empty")
    ]
    assert len(report["stops"]) == 1
    assert "4 slide(s) will be skipped" in report["warnings"]


def test_what_the_whole_run_cannot_do_with(study):
    report = check(study, YAML.replace("n_patches: 4", "n_patches: 4000").replace("10x]", "10x, 0.25]"))
    assert {kind for kinds in problems(report).values() for kind in kinds} == {"too small"}
    assert any("names a resolution twice" in text for text in report["stops"])
    assert "does not exist" in check(study, YAML.replace("manifest.csv", "none.csv"))["stops"][0]
    assert "data.slides" in check(study, YAML.replace("slides: slides", "slides: none"))["stops"][0]


def test_patients_across_parts_and_one_slide_twice(study):
    (study / "slides" / "s7.tif").write_bytes((study / "slides" / "s6.tif").read_bytes())
    (study / "run").mkdir()
    table = pd.read_csv(study / "manifest.csv").rename(columns={"case_id": "patient_id", "split": "fold_0"})
    table.loc[0, "fold_0"] = "test"
    table.to_csv(study / "run" / "splits.csv", index=False)
    report = check(study)
    assert report["patients"]["across"] == [{"patient_id": "p0", "fold": "fold_0", "parts": "test and train"}]
    assert any("'p0' in test and train of fold_0" in text for text in report["stops"])
    assert "slides s6, s7 are the same picture: keep one of them" in report["warnings"]


@pytest.mark.processes
def test_on_the_command_line(study):
    def run(*arguments, status):
        return here("validate", study / "c.yaml", *arguments, status=status)

    out, _ = run("--report", study / "r.json", status=0)
    assert "nothing stops the run" in out
    assert "level 0, enlarged 1.84 x" in out
    assert json.loads((study / "r.json").read_text())["stops"] == []
    cut(study / "slides" / "s0.tif")
    out, error = run(status=1)
    assert "s0, unreadable: cannot open slide" in out
    assert "stops the run: 1 slide(s) cannot be prepared" in error
    assert json.loads((study / "run" / "validation.json").read_text())["slides"][0]["stops"]


@pytest.mark.parametrize("downsample", [0.5, 0.97, 0.99, 1, 1.02, 1.03, 2, 3.9, 3.95, 4.07, 4.2, 15, 16.3, 20])
def test_the_level_told_is_the_level_read(tmp_path, downsample):
    """Every level has a colour of its own."""

    def paint(factor, level):
        level[:] = 10 * factor

    file = tmp_path / "s.tif"
    image = np.full((2048, 2048, 3), 10, np.uint8)
    write_pyramid(file, image, 0.5, (1, 4, 16), compression=None, edit_level=paint)
    choice = choose_level((1.0, 4.0, 16.0), downsample)
    patches, _ = numpy_reader.read_patches(
        encode_paths([file]), np.full((1, 1, 2), 64), np.full((1, 1), float(downsample)), (32, 32)
    )
    assert np.unique(patches).tolist() == [10 * (1, 4, 16)[choice.level]]
    assert choice.how == ("interpolate" if downsample < 0.98 else "copy" if choice.factor == 1 else "average")


def test_resolutions_that_cannot_be_right_are_told(study):
    """The manifest's um/px against the file's, and an overview that only enlarges a slide."""
    table = pd.read_csv(study / "manifest.csv")
    table["mpp"] = table["slide_id"].map({"s0": 0.23 * 1.015, "s1": 0.25 * 1.03, "s2": 0.92, "s3": 12.0})
    table.to_csv(study / "manifest.csv", index=False)
    report = check(study)
    notes = {s["slide_id"]: " ".join(p["text"] for p in s["problems"] if p["kind"] == "note") for s in report["slides"]}
    assert "manifest says" not in notes["s0"]
    assert "the manifest says 0.2575 um/px, the file 0.25 (openslide.mpp-x)" in notes["s1"]
    assert "the manifest says 0.92 um/px, the file 0.46" in notes["s2"]
    assert "the overview (8 um/px) is finer than the slide (12): it is enlarged 1.5 times" in notes["s3"]
    assert [slide_id for slide_id, text in notes.items() if "the overview" in text] == ["s3"]
    told = "slide(s) have another um/px in the manifest than in their files, by more than 2 %: s1, s2, s3"
    assert any(told in text for text in report["warnings"])
    assert any("1 slide(s) are coarser than the overview" in text for text in report["warnings"])


@pytest.mark.long
def test_slides_that_deserve_a_look_are_named_and_stop_nothing(study):
    image = np.full((768, 768, 3), 245, np.uint8)
    image[128:640, 128:640] = data.immunohistochemistry()
    image[20:100, 40:700] = (40, 60, 190)
    write_pyramid(study / "slides" / "s0.tif", image, 0.5, (1, 4))
    report = check(study)
    assert report["stops"] == []
    flags = {slide["slide_id"]: slide["flags"] for slide in report["slides"] if slide["flags"]}
    assert list(flags) == ["s0"]
    assert 4 < float(flags["s0"]["ink"].partition("%")[0]) < 10
    assert "1 slide(s) deserve a look before they are trusted: ink" in report["warnings"]
    done = CliRunner().invoke(app, ["validate", str(study / "c.yaml")])
    assert done.exit_code == 0, done.output
    assert "has the colour of ink; it is left out" in done.output


def test_drawn_tissue_is_asked_for_as_prepare_will(study):
    from PIL import Image

    text = YAML.replace("workers: 2", "workers: 2, tissue: {masks: masks}")
    (stop,) = check(study, text)["stops"]
    assert "folder of tissue masks" in stop
    (study / "masks").mkdir()
    drawn = np.zeros((64, 64), np.uint8)
    drawn[:16] = 255
    Image.fromarray(drawn).save(study / "masks" / "s1.png")
    Image.fromarray(drawn[:20]).save(study / "masks" / "s2.png")
    report = check(study, text)
    assert problems(report) == {"s2": ["no tissue"]}
    assert report["slides"][1]["tissue"] == pytest.approx(0.25, abs=0.05)
