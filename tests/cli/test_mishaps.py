"""Every command beside what may befall it: one line that names the file, a status that is not 0, and nothing half-written."""

import errno
import json
import os
import shutil
import zipfile
from pathlib import Path

import keras
import pytest
import yaml
from archives import rewrite
from refusals import everything_in, forbid, full, refused, run  # noqa: F401


@pytest.fixture(scope="module")
def here(cohort, records, build, tmp_path_factory):
    """A folder with slides, a configuration, records, and a run that has a model."""
    folder = tmp_path_factory.mktemp("mishaps")
    config = {
        "run": "run",
        "data": {"slides": str(cohort / "slides"), "manifest": str(cohort / "manifest.csv")},
        "splits": {"kind": "manifest", "validation": 0},
        "prepare": {"records": str(records), "overview_mpp": 16, "workers": 1, "sheets": False},
        "model": {"encoder": "small", "patch_size": 32, "n_patches": 4, "stride": 4},
        "train": {"epochs": 1, "batch_size": 2, "deterministic": False},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    run("prepare", folder / "run.yaml")
    from ats_mag.config.reading import read_config
    from ats_mag.runs.run import Run

    Run.open_divided(read_config(folder / "run.yaml"))
    (folder / "run" / "fold-0").mkdir(parents=True)
    build().save(folder / "run" / "fold-0" / "model.keras")
    return folder


def _of_other_keras(good, bad):
    with zipfile.ZipFile(good) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["new_option"] = 3
    metadata = json.dumps({"keras_version": "9.1.0", "date_saved": "x"})
    rewrite(good, bad, {"config.json": json.dumps(config).encode(), "metadata.json": metadata.encode()})


def _with_an_own_layer(good, bad):
    with zipfile.ZipFile(good) as archive:
        config = json.loads(archive.read("config.json"))
    layer = {"module": "mine", "class_name": "Mine", "config": {}, "registered_name": "mine>Mine"}
    config["config"]["feature"] = layer
    rewrite(good, bad, {"config.json": json.dumps(config).encode()})


def _foreign(good, bad):
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("slides.csv", "a,b")


MODELS = {
    "damaged": (lambda good, bad: rewrite(good, bad, {"model.weights.h5": b"junk"}), "damaged (in model.weights.h5)"),
    "of no configuration": (lambda good, bad: rewrite(good, bad, {"config.json": b"{"}), "damaged (in config.json)"),
    "a foreign archive": (_foreign, "it lacks config.json"),
    "truncated": (lambda good, bad: bad.write_bytes(good.read_bytes()[:3000]), "it was cut off"),
    "empty": (lambda good, bad: bad.write_bytes(b""), "is empty"),
    "of another Keras": (_of_other_keras, "Keras 9.1.0 wrote it"),
    "with an own layer": (_with_an_own_layer, "`--import MODULE`"),
    "another model": (
        lambda good, bad: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(bad),
        "holds a Sequential, not a SlideClassifier",
    ),
}


def _commands_of_a_model(model, slide, out):
    return {
        "predict": ("predict", model, slide, "--out", out / "p.csv"),
        "predict adaptively": ("predict", model, slide, "--adaptive", "--out", out / "p.csv"),
        "explain": ("explain", model, slide, "--out", out / "why"),
        "export": ("export", model, out / "served"),
    }


@pytest.mark.parametrize("kind", MODELS)
def test_models_that_cannot_be_used(here, cohort, tmp_path, kind):
    make, said = MODELS[kind]
    bad = tmp_path / "bad.keras"
    make(here / "run" / "fold-0" / "model.keras", bad)
    out = tmp_path / "out"
    out.mkdir()
    for command in _commands_of_a_model(bad, cohort / "slides" / "s0.tif", out).values():
        assert said in refused("bad.keras", *command)
        assert everything_in(out) == []
    if kind not in ("of another Keras", "with an own layer", "another model"):  # which show when it is loaded
        assert said.split(" (")[0].removeprefix("it ") in refused("bad.keras", "view", cohort, "--model", bad) or (
            kind in ("empty", "truncated")
        )


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_whose_model_cannot_be_used(here, tmp_path, kind):
    make, said = MODELS[kind]
    shutil.copytree(here / "run", tmp_path / "run")
    shutil.copy(here / "run.yaml", tmp_path)
    make(here / "run" / "fold-0" / "model.keras", tmp_path / "run" / "fold-0" / "model.keras")
    before = everything_in(tmp_path)
    assert said in refused("model.keras", "evaluate", tmp_path / "run.yaml")
    assert everything_in(tmp_path) == before


@pytest.fixture
def image(tmp_path):
    from PIL import Image

    Image.effect_noise((300, 300), 60).convert("RGB").save(tmp_path / "image.png")
    return tmp_path / "image.png"


def _writers(here, cohort, image, out):
    """Every command that writes, into a folder `out`."""
    model, slide = here / "run" / "fold-0" / "model.keras", cohort / "slides" / "s0.tif"
    values = yaml.safe_load((here / "run.yaml").read_text())
    elsewhere = image.with_name("elsewhere.yaml")
    values["run"] = values["prepare"]["records"] = str(out / "run")
    elsewhere.write_text(yaml.safe_dump(values))
    slides = cohort / "slides"
    return {
        "init": ("init", out / "config.yaml"),
        "plan": ("plan", cohort / "manifest.csv", "--slides", slides, "--no-probe", "--out", out / "c.yaml"),
        "validate": ("validate", here / "run.yaml", "--report", out / "v.json"),
        "validate a run": ("validate", elsewhere),
        "prepare": ("prepare", elsewhere),
        "train": ("train", elsewhere),
        "convert": ("convert", image, "--mpp", "0.5", "--out", out / "slides"),
        "predict": ("predict", model, slide, "--out", out / "p.csv"),
        "explain": ("explain", model, slide, "--out", out / "why"),
        "export": ("export", model, out / "served"),
        "demo": ("demo", "--out", out / "demo"),
    }


WRITERS = [
    "init", "plan", "validate", "validate a run", "prepare", "train", "convert", "predict", "explain", "export", "demo",
]  # fmt: skip


@pytest.mark.parametrize("command", WRITERS)
def test_a_folder_below_a_file(here, cohort, image, tmp_path, command):
    (tmp_path / "file").write_text("x")
    out = tmp_path / "file" / "below"
    refused(str(tmp_path / "file"), *_writers(here, cohort, image, out)[command])
    assert (tmp_path / "file").read_text() == "x"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_without_the_right_to_write(here, cohort, image, tmp_path, monkeypatch, command, code):
    """As the system answers to others than root."""
    out = tmp_path / "closed"
    out.mkdir()
    arguments = _writers(here, cohort, image, out / "x")[command]
    with monkeypatch.context() as patch:
        forbid(patch, out, code)
        said = refused(str(out), *arguments)
    assert os.strerror(code) in said
    assert everything_in(out) == []


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=pytest.mark.long) if name in ("export", "demo") else name for name in WRITERS]
)
def test_a_full_disk(here, cohort, image, full, command):  # noqa: F811
    before = everything_in(full)
    said = refused(str(full), *_writers(here, cohort, image, full)[command])
    assert "No space left" in said
    left = [name for name in everything_in(full) if name not in before and (full / name).is_file()]
    # Files without content take no room: locks, and the table that a row was to be added to.
    assert [name for name in left if (full / name).stat().st_size or name.endswith(".tmp")] == []


def test_a_full_disk_is_told_once_of_many_images(full, tmp_path):  # noqa: F811
    from PIL import Image

    for name in ("tumour", "normal"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.effect_noise((300, 300), 60).convert("RGB").save(tmp_path / name / f"{name[0]}{i}.png")
    folders = (tmp_path / "tumour", tmp_path / "normal")
    said = refused(
        str(full), "convert", *folders, "--mpp", 1, "--out", full / "slides", "--manifest", tmp_path / "m.csv"
    )
    assert "No space left" in said
    assert not (tmp_path / "m.csv").exists()


def _interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("plan", "ats_mag.planning.plan.look_at_properties"),
        ("prepare", "ats_mag.preparation.slide._prepare"),
        ("predict", "ats_mag.prediction.predictor.Predictor.predict"),
        ("explain", "ats_mag.pictures.inspected_slide.inspect_slide"),
        ("convert", "ats_mag.slides.writing.flat_many.convert_image"),
        ("export", "ats_mag.model.export.savedmodel.export_model"),
    ],
)
def test_ctrl_c(here, cohort, image, tmp_path, monkeypatch, command, where):
    out = tmp_path / "out"
    arguments = _writers(here, cohort, image, out)[command]
    monkeypatch.setattr(where, _interrupt)
    status, _, error = run(*arguments)
    assert status == 130
    assert "Traceback" not in error
    assert [name for name in everything_in(out) if name.endswith(".tmp")] == []


@pytest.fixture
def odd(tmp_path, cohort, monkeypatch):
    """A working directory whose name is no UTF-8, with a slide and a manifest of such names in it."""
    folder = tmp_path / "M\udcfcller"
    folder.mkdir()
    os.link(cohort / "slides" / "s0.tif", folder / "Gew\udce4chs.tif")
    monkeypatch.chdir(folder)
    return folder


def test_names_that_are_no_utf_8(here, odd):
    model = here / "run" / "fold-0" / "model.keras"
    shutil.copy(model, "mod\udce9l.keras")
    slide = "Gew\udce4chs.tif"
    for command in (
        ("info", slide),
        ("predict", "mod\udce9l.keras", slide, "--out", "p\udce9.csv"),
        ("explain", "mod\udce9l.keras", ".", "--out", "why\udce9"),
        ("init", "c\udce9.yaml"),
    ):
        status, _, error = run(*command)
        assert (status, "Traceback" in error) == (0, False), error
    assert b"Gew\xe4chs" in Path("p\udce9.csv").read_bytes()
    refused("none", "info", "none\udce9.tif")


@pytest.mark.parametrize("command", ["predict", "explain", "validate", "convert", "view"])
def test_a_folder_that_cannot_be_listed(here, cohort, tmp_path, monkeypatch, command):
    closed = tmp_path / "slides" / "closed"
    closed.mkdir(parents=True)
    os.link(cohort / "slides" / "s0.tif", tmp_path / "slides" / "s0.tif")
    values = yaml.safe_load((here / "run.yaml").read_text())
    values["data"]["slides"] = str(tmp_path / "slides")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    model = here / "run" / "fold-0" / "model.keras"

    def refusing(real):
        def call(path=".", *more):
            if os.fspath(path) == str(closed):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(closed))
            return real(path, *more)

        return call

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir))
    arguments = {
        "predict": ("predict", model, tmp_path / "slides", "--out", tmp_path / "p.csv"),
        "explain": ("explain", model, tmp_path / "slides", "--out", tmp_path / "why"),
        "validate": ("validate", tmp_path / "run.yaml"),
        "convert": ("convert", closed, "--mpp", "1", "--out", tmp_path / "converted"),
        "view": ("view", tmp_path / "slides"),
    }
    refused(str(closed), *arguments[command])
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    ("command", "options", "named"),
    [
        ("predict", ("--mpp", "banana"), "--mpp: a resolution is"),
        ("explain", ("--mpp", "400", "--out", "why"), "--mpp: the resolution of a slide"),
        ("view", ("--mpp", "0"), "--mpp: "),
        ("predict", ("--adaptive", "--confidence", "2"), "--confidence must lie between 0 and 1"),
        (
            "predict",
            ("--adaptive", "--min-patches", "9", "--max-patches", "3"),
            "--max-patches must be at least --min-patches",
        ),
        ("explain", ("--method", "banana", "--out", "why"), "--method must be one of"),
        ("explain", ("--n-patches", "1000000", "--out", "why"), "--n-patches"),
        ("view", ("--root-path", "x"), "--root-path"),
        ("view", ("--allowed-host", "https://x"), "--allowed-host"),
    ],
)
def test_messages_about_options_name_them(here, cohort, tmp_path, monkeypatch, command, options, named):
    monkeypatch.chdir(tmp_path)
    models = () if command == "view" else (here / "run" / "fold-0" / "model.keras",)
    said = refused(named, command, *models, cohort / "slides" / "s0.tif", *options)
    assert not any(name in said for name in ("min_patches", "max_patches", "n_patches", "n_samples"))
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("name", ["image.tiff", "table.xlsx", "table"])
def test_the_table_of_converted_images_is_csv_and_replaces_no_slide(image, tmp_path, name):
    out = tmp_path / "slides"
    refused("end it in .csv", "convert", image, "--mpp", 1, "--out", out, "--manifest", out / name)
    assert not out.exists()


def test_a_folder_is_no_manifest(cohort):
    refused("is a folder", "plan", cohort / "slides", "--slides", cohort / "slides", "--no-probe")


def test_yaml_errors_are_one_line(tmp_path):
    (tmp_path / "bad.yaml").write_text("run:\t[x\n")
    refused("is no YAML", "validate", tmp_path / "bad.yaml")


def test_a_resolution_that_the_file_contradicts_is_said(cohort, tmp_path):
    status, out, _ = run("convert", cohort / "slides" / "s0.tif", "--mpp", "1", "--out", tmp_path)
    assert status == 0
    assert "1 um/px (10x), from argument, over the 0.5 um/px that the file states (TIFF XResolution)" in out
    _, out, _ = run("convert", cohort / "slides" / "s0.tif", "--mpp", "0.501", "--out", tmp_path / "same")
    assert "over the" not in out


def test_a_resolution_of_a_slide_that_its_file_contradicts_is_said(here, cohort):
    model, slides = here / "run" / "fold-0" / "model.keras", cohort / "slides"
    for given, said in (("1", True), ("0.501", False)):
        status, _, error = run("predict", model, slides / "s0.tif", "--mpp", given)
        assert status == 0, error
        assert ("s0: 1 um/px is taken, its file states 0.5" in error) is said
