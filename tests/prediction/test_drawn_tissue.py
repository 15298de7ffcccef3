"""Tissue that somebody drew is what is predicted on, everywhere a `.keras` model predicts, and what a row says."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stub_predictor import write_slides

from ats_mag.prediction import find_slides, predict_cohort
from ats_mag.prediction.predictor import Predictor
from ats_mag.slides.own_mask import OwnMaskError


@pytest.fixture
def masks(tmp_path):
    (tmp_path / "masks").mkdir()
    return tmp_path / "masks"


def draw(file, *box, size=(32, 32)):
    image = Image.new("L", size)
    image.paste(255, box)
    image.save(file)


@pytest.mark.needs_tensorflow
def test_drawn_tissue_is_predicted_on_by_every_way(cohort, build, masks, tmp_path):
    from ats_mag.pictures.inspected_slide import inspect_slide

    model, slide = build(), cohort / "slides" / "s0.tif"
    model.save(tmp_path / "m.keras")
    draw(masks / "drawn.png", 16, 16, 24, 24)
    table = pd.DataFrame({"slide_id": ["s0"], "path": [str(slide)], "tissue_mask": ["masks/drawn.png"]})
    table.to_csv(tmp_path / "m.csv", index=False)
    (found,) = find_slides([tmp_path / "m.csv"])
    predictor = Predictor(tmp_path / "m.keras")
    own = predictor.predict(slide, tissue_mask=found.tissue_mask).probabilities
    assert np.abs(own - predictor(slide)).max() > 1e-3
    looked = inspect_slide(model, slide, tissue_mask=found.tissue_mask)
    assert looked.mask.sum() == 8 * 8
    assert looked.mask[16:24, 16:24].all()
    for probabilities in (
        looked.probabilities,
        model.predict_slides(tmp_path / "m.csv")[["p_a", "p_b", "p_c"]].to_numpy()[0],
        next(iter(predict_cohort(tmp_path / "m.keras", [found]))).columns["p_a"],
    ):
        np.testing.assert_allclose(probabilities, own if np.ndim(probabilities) else own[0], atol=1e-6)


def test_masks_are_found_by_id_and_by_the_manifest(masks, tmp_path):
    one, two = write_slides(tmp_path / "a", 2)
    draw(masks / "s000.png", 0, 0, 9, 9)
    assert [slide.tissue_mask for slide in find_slides([one, two], masks=masks)] == [str(masks / "s000.png"), None]
    assert [slide.tissue_mask for slide in find_slides([tmp_path / "a"])] == [None, None]
    pd.DataFrame({"path": [one, two], "tissue_mask": ["", "gone.png"]}).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(OwnMaskError, match=r"gone\.png' of slide 's001' is not there"):
        find_slides([tmp_path / "m.csv"], masks=masks)
    with pytest.raises(OwnMaskError, match="--tissue-masks"):
        find_slides([one], masks=tmp_path / "nowhere")


def test_a_row_says_by_which_mask_it_was_predicted(stub, masks, tmp_path):
    files = write_slides(tmp_path / "slides", 2)
    out = tmp_path / "p.csv"
    draw(masks / "s001.png", 0, 0, 9, 9)
    slides = find_slides(files, masks=masks)
    for _ in range(2):
        list(predict_cohort(stub, slides, out))
    drawn = pd.read_csv(out)["tissue_mask_sha256"]
    assert drawn.isna().tolist() == [True, False]
    before = out.read_bytes()
    with pytest.raises(ValueError, match="another tissue mask, or without one"):
        list(predict_cohort(stub, find_slides(files), out))
    draw(masks / "s001.png", 0, 0, 5, 5)
    with pytest.raises(ValueError, match="another tissue mask, or without one"):
        list(predict_cohort(stub, slides, out))
    assert out.read_bytes() == before


def test_a_table_that_cannot_say_so_takes_no_such_row(stub, masks, tmp_path):
    files = write_slides(tmp_path / "slides", 2)
    out = tmp_path / "p.csv"
    list(predict_cohort(stub, find_slides(files[:1]), out))
    pd.read_csv(out).drop(columns="tissue_mask_sha256").to_csv(out, index=False)  # as an earlier release wrote it
    draw(masks / "s001.png", 0, 0, 9, 9)
    with pytest.raises(ValueError, match="cannot say by which tissue mask"):
        list(predict_cohort(stub, find_slides(files, masks=masks), out))
    assert [one.status for one in predict_cohort(stub, find_slides(files), out)] == ["kept", "predicted"]


def test_an_exported_model_refuses_masks(masks, tmp_path):
    (slide,) = write_slides(tmp_path / "slides", 1)
    (tmp_path / "served").mkdir()
    draw(masks / "s000.png", 0, 0, 9, 9)
    with pytest.raises(ValueError, match=r"finds the tissue itself .*predict with the \.keras file"):
        predict_cohort(tmp_path / "served", find_slides([slide], masks=masks))
