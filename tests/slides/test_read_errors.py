"""What goes wrong: bad arguments, bad files, damaged slides, and going on without them."""

import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from ats_mag.slides.errors import SlideError, naming_key, plain_errors
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.reader import read_overview, read_patches, slide_geometry
from ats_mag.slides.writing.pyramid import write_pyramid

_PLACE = [[[0, 0]]]
_INVALID = tf.errors.InvalidArgumentError


@pytest.mark.parametrize("on_error", ["raise", "fill"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 8)}, "at least 1 x 1"),
        ({"size": (8, -1)}, "at least 1 x 1"),
        ({"size": 8}, "`size` must be"),
        ({"size": (8, 8, 3)}, "`size` must be"),
        ({"location": [[0, 0]]}, "`location` must be"),
        ({"location": [[[0, 0, 0]]]}, "`location` must be"),
        ({"location": "here"}, "`location` must be"),
        ({"downsample": [[[1.0]]]}, "`downsample` must be"),
        ({"downsample": "2x"}, "`downsample` must be"),
        ({"path": "one.svs"}, "`path` must be"),
        ({"path": 3}, "`path` must be"),
        ({"path": [["a", "b"]]}, "`path` must be"),
        ({"path": np.zeros(4, np.int32)}, "`path` must be"),
        ({"path": np.zeros((1, 4))}, "`path` must be"),
    ],
)
def test_bad_arguments_are_value_errors(noise_slide, on_error, change, message):
    arguments = {"path": [noise_slide], "location": _PLACE, "downsample": 1.0, "size": (8, 8), **change}
    with pytest.raises(ValueError, match=re.escape(message) + r".*Received: "):
        read_patches(**arguments, on_error=on_error)


def test_unknown_on_error(noise_slide):
    with pytest.raises(ValueError, match="Received: on_error='skip'"):
        read_patches([noise_slide], _PLACE, 1.0, (8, 8), on_error="skip")


@pytest.mark.parametrize("on_error", ["raise", "fill"])
@pytest.mark.parametrize("downsample", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-9, 1e12])
def test_absurd_downsamples(noise_slide, on_error, downsample):
    with pytest.raises(_INVALID, match=r"downsample\[0, 1\].*noise\.tif"):
        read_patches([noise_slide], np.zeros((1, 2, 2)), [[1.0, downsample]], (8, 8), on_error=on_error)


@pytest.mark.parametrize("on_error", ["raise", "fill"])
@pytest.mark.parametrize("place", [np.nan, np.inf, -np.inf, 1e30, 2**60, -(2**63)])
def test_absurd_locations(noise_slide, on_error, place):
    location = np.array([[[0, place]]], dtype=np.float64 if isinstance(place, float) else np.int64)
    with pytest.raises(_INVALID, match=r"location\[0, 0\].*noise\.tif.*Received"):
        read_patches([noise_slide], location, 1.0, (8, 8), on_error=on_error)


@pytest.mark.parametrize("on_error", ["raise", "fill"])
def test_paths_that_are_none(noise_slide, on_error):
    for path in ([""], ["a\0b"], np.array([[65, 0, 66, 0]]), np.array([[65, 300]]), np.array([[-1, 65]]), [[0] * 64]):
        with pytest.raises(_INVALID, match="path"):
            read_patches(np.asarray(path), _PLACE, 1.0, (8, 8), on_error=on_error)
    with pytest.raises(ValueError, match="Received"):
        encode_paths(["a", ""])


def test_shapes_that_do_not_fit(noise_slide):
    with pytest.raises(_INVALID, match=r"location must have the shape \(2, any, 2\)\. Received: \(1, 1, 2\)"):
        read_patches([noise_slide] * 2, _PLACE, 1.0, (8, 8))


def test_too_much_at_once(noise_slide):
    for size in ((70000, 1), (2**40, 2**40)):
        with pytest.raises(_INVALID, match="patch size"):
            read_patches([noise_slide], _PLACE, 1.0, size)
    with pytest.raises(_INVALID, match="too many pixels"):
        read_patches([noise_slide], np.zeros((1, 5000, 2)), 1.0, (30000, 30000))
    with pytest.raises(_INVALID, match="raise overview_mpp"):
        read_overview(noise_slide, 0.0005)


def test_coarse_beyond_all_measure_is_background(noise_slide):
    patch = read_patches([noise_slide], [[[2000, 2000]]], 1e6, (16, 16)).numpy()
    np.testing.assert_array_equal(patch, 255)


@pytest.fixture(scope="module")
def bad_files(folder, noise):
    """Kinds of files that are no slides, with the error and a word of the message."""
    whole = write_pyramid(folder / "whole.tif", noise[:512, :512], 0.25, compression="deflate").read_bytes()
    files = {
        "missing.svs": (None, tf.errors.NotFoundError, "check the path or the slide root"),
        "noise.tif/below.svs": (None, tf.errors.NotFoundError, "does not exist"),
        "empty.svs": (b"", _INVALID, "empty"),
        "text.svs": (b"no slide\n" * 99, _INVALID, "not a whole-slide image"),
        "truncated.tif": (whole[:4000], _INVALID, "more than the file has"),
        "sub": ("folder", _INVALID, "folder"),
    }
    for name, (content, *_) in files.items():
        if content == "folder":
            (folder / name).mkdir(exist_ok=True)
        elif content is not None:
            (folder / name).write_bytes(content)
    return {str(folder / name): expectation for name, (_, *expectation) in files.items()}


def test_bad_files_raise(bad_files, noise_slide):
    for path, (kind, word) in bad_files.items():
        for paths in ([path], encode_paths([path])):
            with pytest.raises(kind, match=f"cannot open slide '{re.escape(path)}'.*{word}"):
                read_patches(paths, _PLACE, 1.0, (8, 8))
        with pytest.raises(kind, match=word):
            read_patches([noise_slide, path], [_PLACE[0]] * 2, 1.0, (8, 8))
        with pytest.raises(kind, match=word):
            read_overview(path, 8.0)
        with pytest.raises(kind, match=word):
            slide_geometry([path])


def test_bad_files_are_filled(bad_files, noise_slide, noise):
    paths = [*bad_files, noise_slide]
    patches, valid = read_patches(paths, np.zeros((len(paths), 3, 2)), 1.0, (8, 8), on_error="fill")
    np.testing.assert_array_equal(valid.numpy()[:-1], False)
    np.testing.assert_array_equal(patches.numpy()[:-1], 255)
    np.testing.assert_array_equal(valid.numpy()[-1], True)
    np.testing.assert_array_equal(patches.numpy()[-1, 0], noise[:8, :8])


@pytest.fixture
def damaged(tmp_path, noise):
    """A slide whose middle row of tiles cannot be decoded, and the rows of tiles that can."""
    path = write_pyramid(tmp_path / "damaged.tif", noise[:768, :768], 0.25, downsamples=(1,), compression="deflate")
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        spoilt = list(zip(page.dataoffsets, page.databytecounts, strict=True))[3:6]
    with open(path, "r+b") as file:
        for offset, count in spoilt:
            file.seek(offset)
            file.write(b"\xff" * count)
    return str(path)


def test_a_damaged_region_does_not_spoil_the_rest(damaged, noise):
    location = np.array([[300 * (i % 2), 40 * i] for i in range(17)])[None]
    for _ in range(5):  # threads meet in different orders
        patches, valid = read_patches([damaged], location, 1.0, (32, 32), on_error="fill")
        for (x, y), patch, good in zip(location[0], patches[0].numpy(), valid[0].numpy(), strict=True):
            assert good == (y + 32 <= 256 or y >= 512)
            np.testing.assert_array_equal(patch, noise[y : y + 32, x : x + 32] if good else 255)


def test_the_first_damaged_patch_is_named(damaged):
    location = [[[0, 0], [5, 600], [9, 300], [0, 310], [0, 700]]]
    for _ in range(5):
        with pytest.raises(tf.errors.DataLossError, match=r"damaged\.tif' at level 0, location \(9, 300\)"):
            read_patches([damaged], location, 1.0, (32, 32))
    with pytest.raises(tf.errors.DataLossError, match=r"damaged\.tif' at level 0 for its overview"):
        read_overview(damaged, 8.0)
    assert read_patches([damaged], [[[0, 0]]], 1.0, (8, 8)).shape == (1, 1, 8, 8, 3)  # it still serves


def test_broken_real_slides(data_slides, tmp_path):
    broken = data_slides / "broken"
    for name, kind in {
        "unreadable.svs": tf.errors.DataLossError,
        "unopenable.tiff": _INVALID,
        "boxes.png": _INVALID,
        "kidney-48-5.tif": _INVALID,
    }.items():
        with pytest.raises(kind, match=re.escape(name)):
            read_patches([str(broken / name)], _PLACE, 1.0, (8, 8))
        patches, valid = read_patches([str(broken / name)], _PLACE, 1.0, (8, 8), on_error="fill")
        assert not valid.numpy().any()
        assert (patches.numpy() == 255).all()
    shutil.copy(data_slides / "aperio" / "CMU-1-Small-Region.svs", tmp_path / "cut.svs")
    with open(tmp_path / "cut.svs", "r+b") as file:
        file.truncate(10000)
    with pytest.raises((_INVALID, tf.errors.DataLossError), match=r"cut\.svs"):
        read_patches([str(tmp_path / "cut.svs")], _PLACE, 1.0, (8, 8))


def test_a_command_names_the_key_that_goes_on_without_the_slide():
    with (
        pytest.raises(SlideError, match=r"^torn; to go on without such slides, set `train\.on_bad_slide: skip`$"),
        naming_key("train.on_bad_slide"),
    ):
        raise SlideError("torn")
    with pytest.raises(SlideError, match=r"^torn$"), naming_key(None):
        raise SlideError("torn")


def test_messages_of_pixels_name_no_argument_of_python(damaged):
    with pytest.raises(SlideError, match=r"cannot read slide.*copy it again from its source") as caught, plain_errors():
        read_patches([damaged], [[[9, 300]]], 1.0, (32, 32))
    assert "on_error" not in str(caught.value)
