"""What is said of slides that deserve a look, and that nothing is said of good ones."""

import numpy as np
import pytest
from made_overviews import INKS, fluorescence, made
from scipy.ndimage import gaussian_filter

from ats_mag.slides import numpy_overview
from ats_mag.slides.quality import Quality, assess
from ats_mag.slides.tissue_options import DEFAULT_TISSUE
from ats_mag.slides.writing.pyramid import write_pyramid

MPP = 8.0


def judged(tmp_path, image, mpp=MPP):
    """The flags of a slide that shows this, every pixel one of the overview."""
    slide = write_pyramid(tmp_path / "s.tif", image, mpp, downsamples=(1,), compression="deflate")
    view = numpy_overview.view_slide(slide, mpp)
    return assess(slide, view, mpp, DEFAULT_TISSUE, own=False)


def test_of_a_good_slide_nothing_is_said(tmp_path):
    assert judged(tmp_path, made("H&E", "nothing", "grey", 0.3).image).flags() == {}


@pytest.mark.parametrize("beside", [*INKS, "blood"])
def test_ink_is_said(tmp_path, beside):
    flags = judged(tmp_path, made("H&E", beside, "grey", 0.15).image).flags()
    assert list(flags) == [
        {"black pen": "dark areas", "red pen": "red ink or blood", "blood": "red ink or blood"}.get(beside, "ink")
    ]
    (text,) = flags.values()
    assert 3 < float(text.partition("%")[0]) < 5  # of 4.5 %, the blurred edge may be missing


def test_no_glass_fluorescence_and_little_tissue_are_said(tmp_path):
    assert "no glass" in judged(tmp_path, made("H&E", "nothing", "grey", 1).image).flags()
    assert "fluorescence" in judged(tmp_path, fluorescence((0, 0, 6), (0, 0, 180), 0.1).image).flags()
    little = judged(tmp_path, made("H&E", "nothing", "grey", 0.05).image)
    assert "little tissue" not in little.flags(0.01)
    assert "little tissue" in little.flags(0.2)


def test_blur_is_said_of_tissue_out_of_focus(tmp_path, tissue):
    sharp = judged(tmp_path, tissue, 0.5)
    assert "blur" not in sharp.flags()
    blurred = judged(tmp_path, gaussian_filter(tissue, (3, 3, 0)), 0.5)
    assert "blur" in blurred.flags()
    assert blurred.blur > sharp.blur + 0.2


def test_a_slide_too_small_or_without_tissue_has_no_sharpness(tmp_path):
    assert judged(tmp_path, np.full((20, 20, 3), 240, np.uint8)).blur is None
    assert judged(tmp_path, np.full((200, 200, 3), 240, np.uint8)).blur is None


def test_real_slides(real_slide):
    known = {"CMU-1-Small-Region": 0.499, "TCGA-CR-7395-01A-01-TS1": 0.5, "test3-DAPI-2-(387)": 0.228}
    if real_slide.stem not in known:
        pytest.skip("drawn boxes, or a label map: no tissue")
    view = numpy_overview.view_slide(real_slide, 8.0, known[real_slide.stem])
    quality = assess(real_slide, view, 8.0, DEFAULT_TISSUE, own=False)
    flags = set(quality.flags())
    if "DAPI" in real_slide.name:
        assert "fluorescence" in flags
        assert 0.05 < quality.tissue < 0.5
    else:
        assert not flags
        assert 0.3 < quality.tissue < 0.7


def test_flags_of_plain_values():
    good = Quality(tissue=0.3, glass=0.5, ink=0, red=0, dark=0, fluorescence=False, blur=0.3)
    assert good.flags() == {}
    assert set(Quality(0.3, 0.0, 0.1, 0.1, 0.1, False, 0.9).flags()) == {
        "ink", "red ink or blood", "dark areas", "no glass", "blur",
    }  # fmt: skip
