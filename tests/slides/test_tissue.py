"""The tissue mask: by Otsu's threshold as scikit-image has it, what both methods share, and the cells that it makes valid."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.filters
import skimage.morphology
import tensorflow as tf
from backends import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.morphology import dilation, disk

from ats_mag.geometry.cells import valid_cells
from ats_mag.slides import numpy_tissue, tissue
from ats_mag.slides.tissue import tissue_mask
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, OTSU

seeds = st.integers(0, 2**32 - 1)


def reference(overview):
    """The same mask by scikit-image."""
    saturation = skimage.color.rgb2hsv(overview)[..., 1]
    saturation = np.floor(saturation * 255 + 0.5 + 1e-9).astype(np.uint8)
    saturation[overview.max(axis=-1) < 16] = 0
    mask = saturation > max(skimage.filters.threshold_otsu(saturation), 13)
    mask = skimage.morphology.opening(mask, skimage.morphology.disk(1), mode="ignore")
    return skimage.morphology.closing(mask, skimage.morphology.disk(2), mode="ignore")


def stained(shape, seed):
    """Smooth stained blobs on noisy glass."""
    rng = np.random.default_rng(seed)
    field = skimage.filters.gaussian(rng.normal(size=shape), rng.uniform(0.3, 4), mode="wrap")
    amount = np.clip(field / (field.std() + 1e-9) - rng.uniform(-1, 2), 0, 1)[..., None]
    stain = rng.uniform(60, 230, 3)
    picture = 245 * (1 - amount) + stain * amount + rng.normal(scale=rng.uniform(0, 5), size=(*shape, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


@settings(max_examples=examples(60), deadline=None)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda s: (*s, 3))))
def test_mask_equals_scikit_image_on_any_picture(overview):
    np.testing.assert_array_equal(tissue_mask(overview, OTSU), reference(overview))
    np.testing.assert_array_equal(numpy_tissue.tissue_mask(overview, OTSU), reference(overview))


@settings(max_examples=examples(40), deadline=None)
@given(st.tuples(st.integers(5, 70), st.integers(5, 70)), seeds)
def test_mask_equals_scikit_image_on_stained_pictures(shape, seed):
    overview = stained(shape, seed)
    np.testing.assert_array_equal(tissue_mask(overview, OTSU), reference(overview))
    np.testing.assert_array_equal(numpy_tissue.tissue_mask(overview, OTSU), reference(overview))


@settings(max_examples=examples(60), deadline=None)
@given(arrays(np.uint8, st.integers(1, 60)))
@example(np.array([253, 45, *[28] * 8], np.uint8))  # the same variance from 45 to 252: the first counts
def test_otsu_equals_scikit_image(values):
    expected = skimage.filters.threshold_otsu(values)
    assert int(tissue._otsu(tf.constant(values, tf.int32))) == expected


@settings(max_examples=examples(40), deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14)), st.integers(1, 4))
def test_morphology_equals_scikit_image_up_to_the_border(mask, radius):
    disk = skimage.morphology.disk(radius)
    for ours, theirs in ((tissue._dilate, "dilation"), (tissue._erode, "erosion")):
        expected = getattr(skimage.morphology, theirs)(mask, disk, mode="ignore")
        np.testing.assert_array_equal(ours(tf.constant(mask), radius), expected)


@pytest.fixture(scope="module")
def section():
    """A real stained section on white, and where it lies."""
    overview = np.full((400, 500, 3), 255, np.uint8)
    overview[60:316, 90:346] = skimage.data.immunohistochemistry()[::2, ::2]
    inside = np.zeros((400, 500), bool)
    inside[60:316, 90:346] = True
    return overview, inside


def test_real_section_by_otsu(section):
    overview, inside = section
    mask = tissue_mask(overview, OTSU).numpy()
    np.testing.assert_array_equal(mask, reference(overview))
    np.testing.assert_array_equal(numpy_tissue.tissue_mask(overview, OTSU), mask)
    assert mask[inside].mean() > 0.4
    assert not mask[~inside].any()


def test_real_section(section):
    overview, inside = section
    mask = tissue_mask(overview).numpy()
    np.testing.assert_array_equal(numpy_tissue.tissue_mask(overview), mask)
    highest = overview.max(axis=-1).astype(float)
    saturation = 255 * (highest - overview.min(axis=-1)) / np.maximum(highest, 1)
    assert mask[inside & (saturation > 15)].mean() > 0.99
    assert np.quantile(saturation[inside & ~mask], 0.9) < 12  # what is left out has no colour: the inside of crypts
    assert mask[tissue_mask(overview, OTSU).numpy()].mean() > 0.99
    assert not mask[~dilation(inside, disk(2))].any()


@pytest.mark.parametrize("options", [DEFAULT_TISSUE, OTSU], ids=["bounded", "otsu"])
def test_mask_in_a_graph_of_unknown_sizes(section, options):
    overview, _ = section
    graph = tf.function(
        lambda overview: tissue_mask(overview, options), input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)]
    )
    np.testing.assert_array_equal(graph(overview), tissue_mask(overview, options))
    np.testing.assert_array_equal(graph(overview[:90, :77]), tissue_mask(overview[:90, :77], options))


@pytest.mark.parametrize("options", [DEFAULT_TISSUE, OTSU], ids=["bounded", "otsu"])
def test_white_padding_stays_out(section, options):
    overview, _ = section
    mask = tissue_mask(overview, options).numpy()
    padded = np.pad(overview, [(0, 48), (0, 12), (0, 0)], constant_values=255)
    mask_of_padded = tissue_mask(padded, options).numpy()
    assert not mask_of_padded[400:].any()
    assert not mask_of_padded[:, 500:].any()
    assert (mask_of_padded[:400, :500] == mask).all()


@pytest.mark.parametrize(
    "overview",
    [
        np.full((40, 50, 3), 255, np.uint8),
        np.full((40, 50, 3), (240, 238, 243), np.uint8),
        np.zeros((40, 50, 3), np.uint8),
        np.random.default_rng(0).integers(244, 256, (200, 200, 3), np.uint8),
        np.random.default_rng(0).integers(0, 10, (200, 200, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (200, 200, 1), np.uint8).repeat(3, axis=2),
        np.full((1, 1, 3), 255, np.uint8),
    ],
    ids=["white", "glass", "black", "noisy glass", "noisy black", "grey", "one pixel"],
)
@pytest.mark.parametrize("options", [DEFAULT_TISSUE, OTSU], ids=["bounded", "otsu"])
def test_no_tissue_gives_an_empty_mask(overview, options):
    assert not tissue_mask(overview, options).numpy().any()
    assert not numpy_tissue.tissue_mask(overview, options).any()


@pytest.mark.parametrize("options", [DEFAULT_TISSUE, OTSU], ids=["bounded", "otsu"])
def test_fluorescence_is_parted_by_its_light(options):
    overview = np.random.default_rng(0).integers(0, 6, (80, 80, 3)).astype(np.uint8)
    overview[20:50, 20:60, 2] = 180
    mask = tissue_mask(overview, options).numpy()
    assert mask[22:48, 22:58].all()
    assert mask.mean() < 0.3


@pytest.mark.parametrize("options", [DEFAULT_TISSUE, OTSU], ids=["bounded", "otsu"])
def test_specks_go_and_pores_fill(options):
    overview = np.full((60, 60, 3), 250, np.uint8)
    overview[20:50, 20:50] = (190, 90, 160)
    overview[30:31, 30:31] = 250
    overview[5:6, 5:6] = (190, 90, 160)
    mask = tissue_mask(overview, options).numpy()
    assert mask[30:31, 30:31].all()
    assert not mask[:15].any()


@pytest.mark.parametrize(
    "overview", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_other_pictures_are_refused(overview):
    with pytest.raises(ValueError, match="Received: shape"):
        tissue_mask(overview)


@settings(max_examples=examples(40), deadline=None)
@given(
    arrays(bool, array_shapes(min_dims=2, max_dims=3, max_side=13)), st.integers(1, 6), st.sampled_from([0.05, 0.25, 1])
)
def test_valid_cells_count_tissue(mask, stride, min_tissue):
    *batch, height, width = mask.shape
    rows, columns = -(-height // stride), -(-width // stride)
    padded = np.zeros((*batch, rows * stride, columns * stride), bool)
    padded[..., :height, :width] = mask
    count = padded.reshape(*batch, rows, stride, columns, stride).sum(axis=(-3, -1))
    expected = count * 100 >= round(min_tissue * 100) * stride**2
    np.testing.assert_array_equal(valid_cells(mask, stride, min_tissue), expected)


def test_valid_cells_at_exactly_the_threshold():
    mask = np.zeros((20, 40), bool)
    mask[0, :20] = True  # 20 of 400 pixels: 5 %
    mask[0, 20:39] = True
    assert valid_cells(mask, 20).numpy().tolist() == [[True, False]]
    assert valid_cells(mask, 20, min_tissue=0).numpy().all()


def test_valid_cells_in_a_graph_of_unknown_sizes():
    spec = tf.TensorSpec((None, None, None), tf.bool)
    graph = tf.function(lambda mask: valid_cells(mask, 4), input_signature=[spec])
    mask = np.random.default_rng(0).random((2, 11, 17)) < 0.05
    np.testing.assert_array_equal(graph(mask), valid_cells(mask, 4))


@pytest.mark.parametrize("arguments", [{"stride": 0}, {"stride": 2.5}, {"stride": 4, "min_tissue": 1.5}])
def test_valid_cells_refuse_impossible_arguments(arguments):
    with pytest.raises(ValueError, match="Received"):
        valid_cells(np.zeros((8, 8), bool), **arguments)


def test_valid_cells_refuse_other_ranks():
    with pytest.raises(ValueError, match="shape"):
        valid_cells(np.zeros(8, bool), 4)
