"""One slide as a model sees it."""

import numpy as np

from ats_mag.pictures.inspected_slide import inspect_slide
from ats_mag.slides.writing.pyramid import write_pyramid


def test_it_has_the_slides_own_cells(inspected, model):
    stride = model.lattice.stride
    rows, columns, _ = inspected.attention.shape
    assert inspected.overview.shape == (rows * stride, columns * stride, 3)
    assert inspected.mask.shape == (rows * stride, columns * stride)
    width, height = inspected.geometry[2:4] / inspected.cell_px
    assert (rows, columns) == (np.ceil(height), np.ceil(width))
    np.testing.assert_allclose(inspected.attention.sum(), 1, rtol=1e-5)
    assert (inspected.index[:, :2] < (rows, columns)).all()


def test_a_slide_with_fewer_cells_than_patches(model, tmp_path):
    path = tmp_path / "small.tif"
    image = np.full((120, 120, 3), 243, np.uint8)
    image[:, :50] = (200, 90, 160)  # in the cells on the left
    write_pyramid(path, image, 0.5)
    inspected = inspect_slide(model, path)
    assert inspected.attention.shape[:2] == (2, 2)
    assert inspected.attention[..., 0].size * 2 < model.test_n_patches
    assert 0 < len(inspected.index) < model.test_n_patches
    np.testing.assert_allclose(inspected.weight.sum(), 1, rtol=1e-5)
