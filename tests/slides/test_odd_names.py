"""Slides whose names are no UTF-8, as in old archives, and those that look like something else."""

import os

import numpy as np
import pytest

from ats_mag.slides import numpy_overview, numpy_reader
from ats_mag.slides.overview import view_slide
from ats_mag.slides.overview_by_backend import view_by_backend
from ats_mag.slides.paths import encode_paths, printable
from ats_mag.slides.properties import slide_info
from ats_mag.slides.reader import read_overview, read_patches
from ats_mag.slides.slide_folder import SlideFolder


@pytest.mark.parametrize(
    "name", [b"M\xfcller.tif", b"a[[1]]{{node x}}.tif", "\u00e9\u4e2d \U0001f52c.tif".encode(), b"a\nb.tif"]
)
def test_every_way_of_reading_takes_any_name(tmp_path, tissue_slide, name):
    path = os.path.join(tmp_path, os.fsdecode(name))
    os.link(tissue_slide, path)
    assert SlideFolder(tmp_path).slides == [os.fsdecode(name)]
    expected = view_slide(tissue_slide, 8.0)
    for found in (view_slide(path, 8.0), view_by_backend(path, 8.0), numpy_overview.view_slide(path, 8.0)):
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_array_equal(read_overview(path, 8.0), expected.image)
    assert slide_info(path).dimensions == slide_info(tissue_slide).dimensions
    patches = read_patches([path], [[[0, 0]]], 1.0, (16, 16))
    np.testing.assert_array_equal(patches, read_patches([tissue_slide], [[[0, 0]]], 1.0, (16, 16)))
    plain, _ = numpy_reader.read_patches(encode_paths([path]), np.zeros((1, 1, 2)), np.ones((1, 1)), (16, 16))
    np.testing.assert_array_equal(plain, patches)
    printable(path).encode()
