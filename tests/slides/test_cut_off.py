"""Files that are no slides: what they are is told, and what mends them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from ats_mag.slides.errors import SlideError
from ats_mag.slides.properties import slide_info


@pytest.fixture
def directory_last(tmp_path):
    """A slide as scanners write it: its directory after the pixels."""
    path = tmp_path / "a.svs"
    image = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    text = "Aperio Image Library v12\n512x512 [0,0 512x512] (256x256) JPEG/RGB Q=90|AppMag = 20|MPP = 0.5"
    tifffile.imwrite(
        path,
        image,
        bigtiff=True,
        tile=(256, 256),
        photometric="rgb",
        compression="jpeg",
        metadata=None,
        description=text,
    )
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[8:16], "little")
    content[8:16] = len(content).to_bytes(8, "little")
    count = int.from_bytes(content[first : first + 8], "little")
    content += content[first : first + 8 + count * 20 + 8]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_slide_that_was_cut_off_is_to_be_copied_again(directory_last, share):
    content = directory_last.read_bytes()
    assert slide_info(directory_last).dimensions == (512, 512)
    directory_last.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SlideError) as error:
        slide_info(directory_last)
    where = int.from_bytes(content[8:16], "little")
    assert f"said to be at byte {where}, but the file ends at byte {int(len(content) * share)}" in str(error.value)
    assert "copy it again" in str(error.value)
    assert "convert" not in str(error.value)


def test_a_second_directory_beyond_the_end(tmp_path):
    path = tmp_path / "a.tif"
    image = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    with tifffile.TiffWriter(path) as file:
        for number, pixels in enumerate((image, image[::2, ::2])):
            file.write(
                pixels, tile=(256, 256), photometric="rgb", compression="jpeg", subfiletype=number, metadata=None
            )
    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    path.write_bytes(path.read_bytes()[: second - 10])
    with pytest.raises(SlideError, match=rf"at byte {second}, but the file ends at byte {second - 10}: it was cut off"):
        slide_info(path)


def test_a_copy_that_did_not_finish_is_all_zeros(tmp_path):
    path = tmp_path / "a.svs"
    path.write_bytes(bytes(100_000))
    with pytest.raises(SlideError, match=r"nothing but zeros.*copy it again"):
        slide_info(path)


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp"])
def test_a_flat_picture_is_to_be_converted(tmp_path, kind):
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((50, 50, 3), 200, np.uint8)).save(path, kind)
    with pytest.raises(SlideError, match=r"flat picture.*ats-mag convert"):
        slide_info(path)
