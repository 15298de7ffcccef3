"""One slide as a model sees it."""

import numpy as np

from ats_mag.pictures.look import look_at
from ats_mag.slides.writing.pyramid import write_pyramid


def test_the_look_is_of_the_slides_own_cells(look, model):
    stride = model.lattice.stride
    rows, columns, _ = look.attention.shape
    assert look.overview.shape == (rows * stride, columns * stride, 3)
    assert look.mask.shape == (rows * stride, columns * stride)
    width, height = look.geometry[2:4] / look.cell_px
    assert (rows, columns) == (np.ceil(height), np.ceil(width))
    np.testing.assert_allclose(look.attention.sum(), 1, rtol=1e-5)
    assert (look.index[:, :2] < (rows, columns)).all()


def test_a_slide_with_fewer_cells_than_patches(model, tmp_path):
    path = tmp_path / "small.tif"
    image = np.full((120, 120, 3), 243, np.uint8)
    image[:, :70] = (200, 90, 160)
    write_pyramid(path, image, 0.5)
    look = look_at(model, path)
    assert look.attention.shape[:2] == (2, 2)
    assert look.attention[..., 0].size * 2 < model.test_n_patches
    assert 0 < len(look.index) < model.test_n_patches
    np.testing.assert_allclose(look.weight.sum(), 1, rtol=1e-5)
