"""Everything that explains a slide, from Python and on the command line."""

import json

import numpy as np
import pytest
from made_inspected import invent_inspected
from typer.testing import CliRunner

from ats_mag.cli import app
from ats_mag.cli.slides_to_explain import slides_to_explain
from ats_mag.config.reading import read_config
from ats_mag.model.saving import load_classifier
from ats_mag.pictures.explain import write_explanation
from ats_mag.pictures.heaviest_patches import heaviest_first, shown_score
from ats_mag.pictures.maps import slide_maps, write_maps
from ats_mag.runs.run import Run


def test_maps_come_back_with_transforms_to_the_slides_pixels(bounded, tmp_path):
    write_maps(bounded, tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as found:  # nothing is pickled
        for name, value in slide_maps(bounded).items():
            np.testing.assert_array_equal(found[name], value)
        maps = dict(found)
    np.testing.assert_array_equal(maps["attention"], bounded.attention)
    row, column, magnification = maps["patch_cell"][0]
    x, y, one = maps["attention_to_level0"] @ (column + 0.5, row + 0.5, 1)
    assert one == 1
    left, top, width, height = maps["patch_box"][0]
    assert width == height == 32 * maps["magnifications"][magnification] / maps["um_per_px"]
    # The patch is centred on its cell, but for a move onto the tile grid by less than half a cell.
    assert abs(left + width / 2 - x) < bounded.cell_px / 2
    assert abs(top + height / 2 - y) < bounded.cell_px / 2
    assert maps["patch_attention"][0] == maps["attention"][row, column, magnification]
    h, w = maps["tissue"].shape
    corner = maps["overview_to_level0"] @ (w, h, 1)
    np.testing.assert_allclose(corner[:2], maps["bounds"][:2] + np.array([w, h]) * 8.0 / maps["um_per_px"])
    assert maps["patch_contribution"].shape == (len(maps["patches"]), len(maps["score_classes"]))


def test_the_folder_has_a_file_for_qupath_where_the_slide_has_bounds(bounded, inspected, tmp_path):
    names = {"attention.png", "patches.png", "maps.npz", "slide.geojson"}
    assert {path.name for path in write_explanation(bounded, tmp_path)} == names | {"slide-qupath.geojson"}
    assert json.loads((tmp_path / "slide-qupath.geojson").read_text())["ats_mag"]["origin"] == "bounds"
    write_explanation(inspected, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names


def test_the_command(model, slide, tmp_path):
    model.save(tmp_path / "m.keras")
    command = ["explain", str(tmp_path / "m.keras"), str(slide), "--out", str(tmp_path / "deep" / "out")]
    done = CliRunner().invoke(app, [*command, "--n-patches", "6", "--method", "sequential", "--mpp", "20x"])
    assert done.exit_code == 0, done.output
    assert done.output.count("wrote") == 4
    geojson = json.loads((tmp_path / "deep" / "out" / "slide.geojson").read_text())
    annotations = [f for f in geojson["features"] if f["properties"]["objectType"] == "annotation"]
    assert len(annotations) == 6
    (tmp_path / "exported").mkdir()
    with pytest.raises(ValueError, match=r"exported SavedModel .* give the `\.keras` file"):
        load_classifier(tmp_path / "exported")
    with pytest.raises(FileNotFoundError, match=r"gone\.keras"):
        load_classifier(tmp_path / "gone.keras")


def test_folders_and_manifests_have_a_folder_per_slide_in_one_process(model, slide, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr("ats_mag.model.saving.load_classifier", lambda path: (loaded.append(path), model)[1])
    monkeypatch.setattr(
        "ats_mag.pictures.explain.write_explanation", lambda seen, out: (out.mkdir(parents=True), [out / "a.png"])[1]
    )
    (tmp_path / "slides" / "more").mkdir(parents=True)
    (tmp_path / "slides" / "s.tif").symlink_to(slide)
    (tmp_path / "slides" / "more" / "s.tif").write_bytes(b"torn")
    (tmp_path / "m.csv").write_text(f"slide_id,path,mpp\nfrom table,{slide},0.5\n")
    command = ["explain", "m.keras", str(tmp_path / "slides"), str(tmp_path / "m.csv"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1, done.output
    assert "3 slides: 2 explained, 1 failed" in done.output
    assert "from table: a 0." in done.output
    assert len(loaded) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["from table", "s-2"]


def test_a_run_stands_for_the_test_slides_of_the_models_fold(tmp_path):
    from made_results import make_run

    config = make_run(tmp_path, figures=False)
    run = Run.stored(read_config(config))
    for fold in (0, 1):
        for model, asked in ((run.layout.fold(fold).model, None), (tmp_path / "copy.keras", fold)):
            found = slides_to_explain([config], model, None, None, asked)
            expected = run.test_slides(fold)["slide_id"].tolist()
            assert [slide.slide_id for slide in found] == expected
            assert {slide.path for slide in found} == {
                str(tmp_path / "slides" / path) for path in run.manifest.set_index("slide_id").loc[expected, "path"]
            }
    with pytest.raises(ValueError, match=r"copy.keras' is no model of the run .* say by --fold"):
        slides_to_explain([config], tmp_path / "copy.keras", None, None, None)


def test_the_shown_score_is_of_the_most_probable_class(inspected):
    assert shown_score(inspected) == inspected.probabilities.argmax()
    assert (np.diff(inspected.weight[heaviest_first(inspected)]) <= 0).all()


def test_a_name_that_is_no_utf_8_is_shown_with_escapes(tmp_path):
    shown = "M\\xfc:bug:$x^2$.svs"
    inspected = invent_inspected(120, 90, name="/slides/M\udcfc:bug:$x^2$.svs")
    for file in write_explanation(inspected, tmp_path / "why"):
        assert file.stat().st_size > 0
    with np.load(tmp_path / "why" / "maps.npz") as maps:
        assert str(maps["slide"]) == shown
    found = json.loads((tmp_path / "why" / "slide.geojson").read_text(encoding="utf-8"))
    assert {feature["properties"]["slide"] for feature in found["features"] if "slide" in feature["properties"]} <= {
        shown
    }
    assert json.dumps(shown) in json.dumps(found)
