"""The tissue mask on overviews of every kind: tissue is kept; ink, glass and dark grounds are not."""

import numpy as np
import pytest
import tensorflow as tf
from backends import SHARE, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from made_overviews import BESIDE, GLASSES, INKS, STAINS, fluorescence, kinds, made

from ats_mag.slides.numpy_tissue import findings, tissue_mask
from ats_mag.slides.tissue import tissue_mask as tensor_mask
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, OTSU, TissueOptions

LEFT_OUT = (*INKS, "dark border")


@pytest.fixture(scope="module")
def graph():
    """The mask as a served model computes it."""
    return tf.function(tensor_mask, input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)])


@pytest.mark.graphs
@pytest.mark.parametrize("glass", GLASSES)
@pytest.mark.parametrize("stain", STAINS)
def test_tissue_is_kept_and_nothing_else(stain, glass, graph):
    every = [kind for kind in kinds() if kind[0] == stain and kind[2] == glass]
    assert len(every) == len(BESIDE)
    # In a quick run the quarter of each that still has every two of stain, glass and what lies beside together.
    first = (list(STAINS).index(stain) + list(GLASSES).index(glass)) % 4
    tried = range(len(every)) if SHARE >= 1 else range(first, len(every), 4)
    for seed in tried:
        kind = every[seed]
        picture = made(*kind, seed=seed)
        mask = tissue_mask(picture.image)
        assert mask[picture.tissue].mean() >= 0.9, kind
        assert mask[picture.glass].mean() <= 0.05, kind
        if kind[1] in LEFT_OUT:
            assert mask[picture.beside].mean() <= 0.05, kind
        np.testing.assert_array_equal(graph(picture.image), mask, err_msg=str(kind))


def test_many_kinds_are_tried():
    assert len(kinds()) >= 40
    lost = [kind for kind in kinds()[::7] if tissue_mask((p := made(*kind)).image, OTSU)[p.tissue].mean() < 0.9]
    assert lost  # they are hard: a threshold on its own loses tissue on some


@pytest.mark.parametrize("noise", [1, 4, 8])
@pytest.mark.parametrize("glass", GLASSES)
def test_glass_alone_is_empty_whatever_lies_on_it(glass, noise):
    for beside in ("nothing", *LEFT_OUT):
        picture = made(None, beside, glass, 0, noise=noise)
        assert tissue_mask(picture.image).mean() <= 0.005, beside
        if glass == "bluish":  # beside white, it may be a pale stain
            continue
        padded = np.pad(picture.image, [(0, 60), (0, 40), (0, 0)], constant_values=255)
        assert tissue_mask(padded).mean() <= 0.005, beside


@pytest.mark.parametrize("texture", [3, 8, 14])
@pytest.mark.parametrize("stain", [stain for stain in STAINS if stain != "pale counterstain"])
def test_tissue_without_glass_is_kept(stain, texture):
    picture = made(stain, "nothing", "grey", 1, texture=texture)
    assert tissue_mask(picture.image).mean() >= 0.98
    assert findings(picture.image).glass.mean() < 0.01


@pytest.mark.graphs
@pytest.mark.parametrize("light", [(0, 0, 180), (30, 60, 200), (0, 160, 20), (200, 30, 60), (10, 20, 70)])
@pytest.mark.parametrize("ground", [(0, 0, 6), (5, 5, 12), (20, 20, 35), (10, 25, 10)])
def test_of_fluorescence_what_shines_is_tissue(ground, light, graph):
    for share in (0, 0.1, 0.5):
        picture = fluorescence(ground, light, share)
        mask = tissue_mask(picture.image)
        assert findings(picture.image).fluorescence
        assert mask[picture.glass].mean() <= 0.05
        assert share == 0 or mask[picture.tissue].mean() >= 0.9
        np.testing.assert_array_equal(graph(picture.image), mask)


@pytest.mark.parametrize("beside", INKS)
def test_ink_is_told_from_blood_and_tissue(beside):
    picture = made("H&E", beside, "grey", 0.15)
    seen = findings(picture.image)
    which = seen.red if beside == "red pen" else seen.ink
    if beside != "black pen":  # dark and grey, as the edge of the slide
        assert which[picture.beside].mean() > 0.7
    assert (seen.ink | seen.red)[~picture.beside].mean() < 0.01


@pytest.mark.parametrize("stain", STAINS)
def test_no_stain_is_taken_for_ink(stain):
    seen = findings(made(stain, "nothing", "grey", 0.4).image)
    assert not (seen.ink | seen.red).any()


@pytest.mark.parametrize("colour", [(60, 90, 200), (40, 150, 80), (205, 35, 50)], ids=["blue", "green", "red"])
def test_a_stain_of_the_colour_of_ink_is_kept_where_it_is_the_stain(colour):
    image = np.full((100, 100, 3), 243, np.uint8)
    image[20:80, 20:80] = colour
    assert tissue_mask(image)[21:79, 21:79].all()
    image[:], image[20:40, 20:40], image[60:90, 60:90] = 243, colour, (205, 120, 175)
    assert not tissue_mask(image)[20:40, 20:40].any()
    kept = tissue_mask(image, TissueOptions(ink="keep"))
    assert kept[21:39, 21:39].all()
    np.testing.assert_array_equal(tensor_mask(image, TissueOptions(ink="keep")), kept)


def test_a_given_threshold_is_taken():
    image = np.full((60, 60, 3), 243, np.uint8)
    image[10:30, 10:30], image[30:50, 30:50] = (205, 120, 175), (230, 200, 215)
    for method in ("bounded", "otsu"):
        options = TissueOptions(method, threshold=0.25)
        mask = tissue_mask(image, options)
        assert mask[12:28, 12:28].all()
        assert not mask[33:48, 33:48].any()
        np.testing.assert_array_equal(tensor_mask(image, options), mask)
    whole = TissueOptions("whole")
    assert tissue_mask(image, whole).all()
    assert tensor_mask(image, whole).numpy().all()


@settings(max_examples=examples(60), deadline=None)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda s: (*s, 3))), st.integers(0, 7))
def test_both_masks_are_equal_on_any_picture(overview, shift):
    overview = overview >> shift
    np.testing.assert_array_equal(tensor_mask(overview), tissue_mask(overview))


@pytest.mark.parametrize(
    "wrong",
    [{"method": "best"}, {"ink": "remove"}, {"threshold": 13}, {"threshold": -0.1}],
    ids=lambda wrong: str(wrong),
)
def test_other_options_are_refused(wrong):
    with pytest.raises(ValueError, match=r"Received: (method|ink|threshold)="):
        TissueOptions(**wrong)


def test_options_travel_as_plain_values():
    assert TissueOptions(**DEFAULT_TISSUE.to_dict()) == DEFAULT_TISSUE
    assert TissueOptions(**TissueOptions("otsu", 0.2, "keep").to_dict()).saturation == 51
