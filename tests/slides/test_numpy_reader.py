"""The plain C entries give what the TensorFlow ops give, and need no TensorFlow."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from ats_mag.slides import numpy_overview as native_view
from ats_mag.slides import numpy_reader, overview
from ats_mag.slides.errors import SlideError
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.reader import read_overview, read_patches, slide_geometry
from ats_mag.slides.shared_library import load_op


def test_same_pixels_and_geometry_as_the_ops(tissue_slide, noise_slide):
    paths = [tissue_slide, noise_slide]
    rng = np.random.default_rng(0)
    location = rng.integers(-60, 1000, (2, 9, 2))
    downsample = rng.choice([0.7, 1.0, 2.7, 4.000137, 16.0], (2, 9))
    patches, valid = numpy_reader.read_patches(encode_paths(paths), location, downsample, (30, 40))
    np.testing.assert_array_equal(patches, read_patches(paths, location, downsample, (30, 40)))
    assert valid.all()
    for path in paths:
        for mpp in (3.1, 8.0):
            np.testing.assert_array_equal(numpy_reader.read_overview(path, mpp, 0.3), read_overview(path, mpp, 0.3))
        bounds, mpp = numpy_reader.slide_geometry(path)
        expected = slide_geometry([path])
        np.testing.assert_array_equal(bounds, expected[0][0])
        assert mpp == expected[1][0]


def test_same_view_of_a_slide(tissue_slide):
    for mpp in (4.0, 7.3):
        ours, theirs = native_view.view_slide(tissue_slide, mpp), overview.view_slide(tissue_slide, mpp)
        for mine, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, expected)
        assert ours.mask.any()


def test_errors_are_ordinary_and_name_the_slide(folder, noise_slide):
    text = folder / "native.txt"
    text.write_text("no slide")
    for call in (numpy_reader.read_overview, lambda path, _: numpy_reader.slide_geometry(path)):
        with pytest.raises(FileNotFoundError, match=r"^cannot open slide '/nowhere\.svs'"):
            call("/nowhere.svs", 8.0)
        with pytest.raises(SlideError, match=r"^cannot open slide .*native\.txt"):
            call(text, 8.0)
        with pytest.raises(ValueError, match="must not be empty"):
            call("", 8.0)
    with pytest.raises(ValueError, match="raise overview_mpp"):
        numpy_reader.read_overview(noise_slide, 1e-5, 0.25)
    read = (encode_paths(["/nowhere.svs"]), np.zeros((1, 2, 2)), np.ones((1, 2)), (8, 9))
    with pytest.raises(FileNotFoundError, match=r"/nowhere\.svs"):
        numpy_reader.read_patches(*read)
    patches, valid = numpy_reader.read_patches(*read, on_error="fill")
    assert not valid.any()
    assert (patches == 255).all()
    with pytest.raises(ValueError, match=r"Received: \(1, 64\), \(1, 2, 2\) and \(1, 3\)"):
        numpy_reader.read_patches(read[0], read[1], np.ones((1, 3)), (8, 9))


@pytest.mark.long
def test_tensorflow_may_come_after_the_library(noise_slide):
    """Ops register themselves while a library is loaded, once: another copy must serve TensorFlow then."""
    code = """
    import sys
    from ats_mag.slides import numpy_reader
    from ats_mag.slides.properties import slide_info
    path, library = sys.argv[1:]
    assert slide_info(path).mpp == 0.25
    assert "tensorflow" not in sys.modules
    from ats_mag import load_op, read_overview
    assert (numpy_reader.read_overview(path, 2.0) == read_overview(path, 2.0).numpy()).all()
    assert load_op() == library
    assert slide_info(path).mpp == 0.25
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), noise_slide, load_op()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
