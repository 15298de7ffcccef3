"""Tissue as the configuration asks for it: drawn, found in another way, and what is said of slides that deserve a look."""

import json

import numpy as np
import pytest
import shapely
from made_cohort import OVERVIEW_MPP, make_cohort
from made_overviews import made
from PIL import Image

from ats_mag.preparation import prepare
from ats_mag.preparation.state import read_state
from ats_mag.records.record import read_view
from ats_mag.slides import numpy_overview, numpy_tissue, overview
from ats_mag.slides.own_mask import OwnMaskError
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, OTSU, TissueOptions
from ats_mag.slides.writing.pyramid import write_pyramid

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def cohort(tmp_path):
    return tmp_path, make_cohort(tmp_path)


def run(manifest, folder, **options):
    done = prepare(manifest, folder / "slides", folder / "records", OVERVIEW_MPP, 1, **{"sheets": True, **options})
    return {p.slide_id: p for p in done}


def mask_of(folder, slide_id):
    return read_view(folder / "records" / f"{slide_id}.tfrecord").mask


def test_records_hold_the_mask_that_python_and_a_served_model_find(cohort):
    folder, manifest = cohort
    for options in (OTSU, DEFAULT_TISSUE, TissueOptions(threshold=0.3), TissueOptions("whole")):
        assert {p.status for p in run(manifest, folder, tissue=options).values()} == {"written"}
        slide = str(folder / "slides" / "s0.tif")
        mask = mask_of(folder, "s0")
        np.testing.assert_array_equal(mask, overview.view_slide(slide, OVERVIEW_MPP, tissue=options).mask)
        np.testing.assert_array_equal(mask, numpy_overview.view_slide(slide, OVERVIEW_MPP, tissue=options).mask)
        assert {p.status for p in run(manifest, folder, tissue=options).values()} == {"kept"}
    assert mask.all()


def test_records_of_an_earlier_release_stand_by_otsu_only(cohort):
    folder, manifest = cohort
    run(manifest, folder, tissue=OTSU)
    for file in (folder / "records" / "state").glob("*.json"):
        state = json.loads(file.read_text())
        assert "tissue" not in state["source"]  # as it did not write it
        del state["facts"]["quality"]
        file.write_text(json.dumps(state))
    assert {p.status for p in run(manifest, folder, tissue=OTSU).values()} == {"kept"}
    assert {p.status for p in run(manifest, folder).values()} == {"written"}


def test_drawn_tissue_takes_the_place_of_the_found(cohort):
    folder, manifest = cohort
    run(manifest, folder)
    before = mask_of(folder, "s2")
    masks = folder / "masks"
    masks.mkdir()
    drawn = np.zeros_like(mask_of(folder, "s0"))
    drawn[3:9, 5:12] = True
    Image.fromarray(drawn.astype(np.uint8) * 255).save(masks / "s0.png")
    px = OVERVIEW_MPP / read_state(folder / "records", "s1").facts.mpp
    box = shapely.geometry.mapping(shapely.box(5 * px, 3 * px, 12 * px, 9 * px))
    (masks / "s1.geojson").write_text(json.dumps({"type": "Feature", "geometry": box, "properties": {}}))
    done = run(manifest, folder, masks=masks)
    assert [done[s].status for s in ("s0", "s1", "s2", "s3")] == ["written", "written", "kept", "kept"]
    for slide_id in ("s0", "s1"):  # of which the second is wider
        mask = mask_of(folder, slide_id)
        np.testing.assert_array_equal(mask[:, : drawn.shape[1]], drawn)
        assert not mask[:, drawn.shape[1] :].any()
        assert read_state(folder / "records", slide_id).facts.quality.own_mask
    np.testing.assert_array_equal(mask_of(folder, "s2"), before)
    assert "drawn by hand" in (folder / "records" / "sheets" / "index.html").read_text()
    Image.fromarray(255 - drawn.astype(np.uint8) * 255).save(masks / "s0.png")
    done = run(manifest, folder, masks=masks)
    assert [done[s].status for s in ("s0", "s1", "s2", "s3")] == ["written", "kept", "kept", "kept"]
    np.testing.assert_array_equal(mask_of(folder, "s0"), ~drawn)


def test_a_mask_of_another_slide_costs_that_slide_only(cohort):
    folder, manifest = cohort
    (folder / "masks").mkdir()
    Image.new("L", (300, 20), 255).save(folder / "masks" / "odd.png")
    named = manifest.assign(tissue_mask=["odd.png", "", "", ""])
    done = run(named, folder, masks=folder / "masks")
    assert "proportions" in done["s0"].error
    assert [done[s].status for s in ("s1", "s2", "s3")] == ["written"] * 3
    with pytest.raises(OwnMaskError, match="tissue_mask"):
        run(manifest.assign(tissue_mask=["gone.png", "", "", ""]), folder, masks=folder / "masks")
    with pytest.raises(OwnMaskError, match="folder of tissue masks"):
        run(manifest, folder, masks=folder / "nowhere")


def test_what_deserves_a_look_is_said_and_stays(cohort):
    folder, manifest = cohort
    picture = made("H&E", "blue pen", "grey", 0.15)
    level0 = picture.image.repeat(16, 0).repeat(16, 1)
    write_pyramid(folder / "slides" / "s0.tif", level0, OVERVIEW_MPP / 16, (1, 4, 16))
    done = run(manifest, folder)
    assert "ink" in done["s0"].flags
    assert done["s0"].status == "written"
    assert "has the colour of ink; it is left out" in (folder / "records" / "sheets" / "index.html").read_text()
    assert run(manifest, folder)["s0"].flags == done["s0"].flags  # also of what is kept


def test_a_slide_all_of_ink_says_so(cohort):
    folder, manifest = cohort
    picture = made(None, "blue pen", "grey", 0)
    write_pyramid(folder / "slides" / "s0.tif", picture.image.repeat(16, 0).repeat(16, 1), OVERVIEW_MPP / 16, (1, 16))
    assert "colour of ink or blood (`prepare.tissue.ink: keep`)" in run(manifest, folder)["s0"].error
    assert run(manifest, folder, tissue=TissueOptions(ink="keep"))["s0"].status == "written"
    assert numpy_tissue.tissue_mask(picture.image, TissueOptions(ink="keep"))[picture.beside].mean() > 0.9
