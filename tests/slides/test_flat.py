"""Flat images of every kind become slides with the same pixels, or a refusal that says why."""

import errno
import os

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from ats_mag.slides.errors import SlideError
from ats_mag.slides.properties import slide_info
from ats_mag.slides.writing.flat import convert_image
from ats_mag.slides.writing.pyramid import write_pyramid


@pytest.fixture(scope="module")
def picture():
    """Smooth colours, 300 rows and 530 columns."""
    rows, columns = np.mgrid[:300, :530]
    return np.stack([rows // 2, columns // 3, 255 - rows // 2], axis=-1).astype(np.uint8)


def _pixels(slide):
    with openslide.OpenSlide(slide) as opened:
        return np.asarray(opened.read_region((0, 0), 0, opened.dimensions).convert("RGB"))


def _convert(image, **options):
    return _pixels(convert_image(image, image.with_name("slide.tiff"), 0.5, lossless=True, **options).slide)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_pictures_keep_their_pixels(tmp_path, picture, suffix):
    image = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(image)
    np.testing.assert_array_equal(_convert(image), picture)
    info = slide_info(tmp_path / "slide.tiff")
    assert (info.vendor, info.dimensions, info.level_downsamples) == (
        "generic-tiff",
        (530, 300),
        pytest.approx((1, 2, 4, 8), rel=0.02),
    )
    assert info.mpp == pytest.approx(0.5)


def test_jpeg_is_close_and_read_directly(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=95)
    convert_image(tmp_path / "a.jpg", tmp_path / "slide.tiff", 0.62)
    assert np.abs(_pixels(tmp_path / "slide.tiff").astype(int) - picture).mean() < 2
    assert slide_info(tmp_path / "slide.tiff").level_readers[0] == "direct"


@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 7},
        {"rowsperstrip": 300},
        {"compression": "lzw", "rowsperstrip": 100},
        {"tile": (64, 112)},
        {"tile": (256, 256), "compression": "deflate"},
        {"planarconfig": "separate"},
    ],
    ids=str,
)
def test_tiff_layouts_are_read_in_bands(tmp_path, picture, options):
    image = tmp_path / "a.tif"
    stored = np.moveaxis(picture, -1, 0) if "planarconfig" in options else picture
    tifffile.imwrite(image, stored, photometric="rgb", **options)
    np.testing.assert_array_equal(_convert(image), picture)


def test_alpha_is_laid_on_white_palettes_are_resolved_grey_is_spread(tmp_path, picture):
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:100] = 0
    want = picture.copy()
    want[:100] = 255
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(_convert(tmp_path / "a.png"), want)
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([picture, alpha]), photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(_convert(tmp_path / "a.tif", overwrite=True), want)
    palette = Image.fromarray(picture).quantize(16)
    palette.save(tmp_path / "p.png")
    palette.save(tmp_path / "p.tif")
    for name in ("p.png", "p.tif"):
        np.testing.assert_array_equal(_convert(tmp_path / name, overwrite=True), np.asarray(palette.convert("RGB")))
    Image.fromarray(picture[..., 0]).save(tmp_path / "g.png")
    tifffile.imwrite(tmp_path / "g.tif", 255 - picture[..., 0], photometric="miniswhite")
    for name in ("g.png", "g.tif"):
        np.testing.assert_array_equal(_convert(tmp_path / name, overwrite=True), picture[..., [0, 0, 0]])


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_16_bits_need_their_white(tmp_path, picture, name):
    import imagecodecs

    deep = picture.astype(np.uint16) * 16
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, deep, photometric="rgb")
    else:
        (tmp_path / name).write_bytes(imagecodecs.png_encode(deep))
    with pytest.raises(SlideError, match=r"16 bits per channel.*--white"):
        _convert(tmp_path / name)
    np.testing.assert_array_equal(_convert(tmp_path / name, white=255 * 16), picture)


@pytest.mark.parametrize(("bits", "white"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_the_white_that_fits_is_proposed(tmp_path, picture, bits, white):
    tifffile.imwrite(tmp_path / "a.tif", picture.astype(np.uint16) * (white // 255), photometric="rgb")
    with pytest.raises(SlideError, match=rf"`--white {white}` fits its brightest value, {255 * (white // 255)}\b"):
        _convert(tmp_path / "a.tif")


def test_12_bits_that_the_file_states_are_recognised(tmp_path, picture):
    deep = picture.astype(np.uint16) * 16
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extratags=[(281, "H", 3, (4080,) * 3, True)])
    np.testing.assert_array_equal(_convert(tmp_path / "a.tif"), picture)
    packed = np.zeros((300, 530 * 3 * 12 // 8), np.uint8)  # 530 x 3 values are a whole number of bytes
    values = deep.reshape(300, -1, 2)
    packed[:, 0::3] = values[..., 0] >> 4
    packed[:, 1::3] = (values[..., 0] & 15) << 4 | values[..., 1] >> 8
    packed[:, 2::3] = values[..., 1] & 255
    path = tmp_path / "b.tif"
    tifffile.imwrite(path, deep, photometric="rgb", metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        bits, counts = file.pages.first.tags["BitsPerSample"], file.pages.first.tags["StripByteCounts"]
        start = file.pages.first.dataoffsets[0]
        content[bits.valueoffset : bits.valueoffset + 6] = b"\x0c\0" * 3
        content[counts.valueoffset : counts.valueoffset + 4] = packed.size.to_bytes(4, "little")
    content[start : start + packed.size] = packed.tobytes()
    path.write_bytes(content)
    expected = np.minimum((deep.astype(np.uint32) * 255 + 2047) // 4095, 255)
    np.testing.assert_array_equal(_convert(path, overwrite=True), expected)


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_white_that_makes_the_picture_black_is_refused(tmp_path, picture, suffix):
    import imagecodecs

    image, deep = tmp_path / f"a.{suffix}", picture.astype(np.uint16) * 16
    if suffix == "tif":
        tifffile.imwrite(image, deep, photometric="rgb", rowsperstrip=20)
    else:
        image.write_bytes(imagecodecs.png_encode(deep))
    with pytest.raises(SlideError, match=r"nearly black with 65535 as white.*`--white 4095`"):
        _convert(image, white=65535)
    assert sorted(path.name for path in tmp_path.iterdir()) == [image.name]


def test_resolution_comes_from_the_argument_else_from_the_tiff(tmp_path, picture):
    image, slide = tmp_path / "a.tif", tmp_path / "slide.tiff"
    tifffile.imwrite(
        image, picture, photometric="rgb", resolution=(1e4 / 0.42, 1e4 / 0.42), resolutionunit="CENTIMETER"
    )
    done = convert_image(image, slide)
    assert (done.status, done.mpp_source) == ("written", "TIFF XResolution")
    assert slide_info(slide).mpp == pytest.approx(0.42, rel=1e-3)
    assert convert_image(image, slide, 0.25).mpp_source == "argument"
    assert slide_info(slide).mpp == pytest.approx(0.25)
    tifffile.imwrite(image, picture, photometric="rgb", ome=True, metadata={"PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3})
    assert convert_image(image, slide).mpp_source == "OME PhysicalSizeX"
    tifffile.imwrite(image, picture, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    done = convert_image(image, slide)
    assert (done.mpp, done.mpp_source) == (0.5, "ImageJ unit")


def test_unknown_and_screen_resolutions_are_refused(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png", dpi=(72, 72))
    with pytest.raises(ValueError, match=r"resolution of image '.*a.png' is unknown.*--mpp"):
        convert_image(tmp_path / "a.png", tmp_path / "slide.tiff")
    Image.fromarray(picture).save(tmp_path / "a.tif", dpi=(72, 72))
    with pytest.raises(ValueError, match=r"not plausible: 352\.778 x 352\.778 um/px from TIFF XResolution"):
        convert_image(tmp_path / "a.tif", tmp_path / "slide.tiff")


def test_what_is_no_single_colour_picture_is_refused(tmp_path, picture):
    def refused(name, why):
        with pytest.raises((SlideError, FileNotFoundError), match=why):
            convert_image(tmp_path / name, tmp_path / "slide.tiff", 0.5)

    refused("absent.png", "does not exist")
    (tmp_path / "a.txt").write_text("no picture")
    refused("a.txt", "is none of")
    for name in ("empty.png", "empty.tif"):
        (tmp_path / name).write_bytes(b"")
        refused(name, f"{name}' cannot be read")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([picture] * 2), photometric="rgb")
    refused("stack.tif", "several pictures of the same size")
    tifffile.imwrite(tmp_path / "float.tif", picture.astype(np.float32), photometric="rgb")
    refused("float.tif", "float32")
    tifffile.imwrite(tmp_path / "cmyk.tif", np.zeros((8, 8, 4), np.uint8), photometric="separated")
    refused("cmyk.tif", "SEPARATED")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(tmp_path / "cmyk.jpg")
    refused("cmyk.jpg", "CMYK")
    tifffile.imwrite(tmp_path / "turned.tif", picture, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    refused("turned.tif", "Orientation 6")
    tifffile.imwrite(tmp_path / "whole.tif", picture, photometric="rgb", rowsperstrip=8)
    Image.fromarray(picture).save(tmp_path / "whole.jpg")
    for name in ("whole.tif", "whole.jpg"):
        half = (tmp_path / name).with_stem("half")
        data = (tmp_path / name).read_bytes()
        half.write_bytes(data[: len(data) // 2])
        refused(half.name, f"half.*{half.suffix}")
    assert not list(tmp_path.glob("*slide.tiff*"))


def test_jpeg_is_turned_as_its_exif_says(tmp_path, picture):
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn clockwise
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=exif)
    convert_image(tmp_path / "a.jpg", tmp_path / "slide.tiff", 0.5)
    assert slide_info(tmp_path / "slide.tiff").dimensions == (300, 530)


def test_what_is_done_is_kept(tmp_path, picture):
    image, slide = tmp_path / "a.png", tmp_path / "out" / "a.tiff"
    Image.fromarray(picture).save(image)
    assert convert_image(image, slide, 0.5).status == "written"
    leftover = slide.with_name(f".a.tiff.{2**22 + 1}.tmp")  # of a process that no longer lives
    leftover.write_bytes(b"half")
    before = slide.stat().st_mtime_ns
    assert convert_image(image, slide, 0.5).status == "kept"
    assert slide.stat().st_mtime_ns == before
    assert convert_image(image, slide, 0.25).status == "written"
    assert not leftover.exists()
    slide.write_bytes(slide.read_bytes()[:100])
    assert convert_image(image, slide, 0.25).status == "written"
    assert convert_image(image, slide, 0.25, overwrite=True).status == "written"
    with pytest.raises(ValueError, match="would replace it"):
        convert_image(slide, slide, 0.5)


def _plain(path, colour):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((200, 300, 3), colour, np.uint8)).save(path)
    return path


def test_time_and_place_do_not_tell_whether_a_slide_is_up_to_date(tmp_path):
    image, slide = _plain(tmp_path / "one" / "a.png", (200, 10, 10)), tmp_path / "out" / "a.tiff"
    convert_image(image, slide, 0.5)
    written = slide.stat().st_mtime_ns
    os.utime(image)
    assert convert_image(image, slide, 0.5).status == "kept"
    moved = image.rename(tmp_path / "b.png")
    assert convert_image(moved, slide, 0.5).status == "kept"
    moved.rename(image)
    os.utime(slide, ns=(1, 1))
    assert convert_image(image, slide, 0.5).status == "kept"
    os.utime(slide, ns=(written, written))
    size, replacement = image.stat().st_size, _plain(tmp_path / "new.png", (10, 10, 200))
    replacement.write_bytes(replacement.read_bytes().ljust(size, b"\0")[: max(size, replacement.stat().st_size)])
    os.utime(replacement, ns=(1, 1))  # as `cp -p` brings it from an archive
    replacement.replace(image)
    assert convert_image(image, slide, 0.5).status == "written"
    assert _pixels(slide)[0, 0].argmax() == 2


@pytest.mark.parametrize("options", [{"lossless": True}, {"white": 4095}, {"mpp": 0.25}])
def test_a_slide_that_was_converted_in_another_way_is_converted_again(tmp_path, options):
    image, slide = _plain(tmp_path / "a.png", (200, 10, 10)), tmp_path / "a.tiff"
    convert_image(image, slide, 0.5)
    options = {"mpp": 0.5} | options
    assert convert_image(image, slide, **options).status == "written"
    assert convert_image(image, slide, **options).status == "kept"


def test_a_slide_of_another_image_is_not_replaced(tmp_path):
    one, other = _plain(tmp_path / "one" / "a.png", (200, 10, 10)), _plain(tmp_path / "other" / "a.png", (10, 10, 200))
    slide = tmp_path / "out" / "a.tiff"
    convert_image(one, slide, 0.5)
    before = slide.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.tiff' was made from another image than '.*other/a\.png': convert"):
        convert_image(other, slide, 0.5)
    assert slide.read_bytes() == before
    assert convert_image(other, slide, 0.5, overwrite=True).status == "written"
    assert _pixels(slide)[0, 0].argmax() == 2


def test_a_slide_that_no_conversion_made_is_not_replaced(tmp_path):
    image, slide = _plain(tmp_path / "a.png", (200, 10, 10)), tmp_path / "a.tiff"
    tifffile.imwrite(slide, np.zeros((200, 300, 3), np.uint8), photometric="rgb", software="a scanner", metadata=None)
    before = slide.read_bytes()
    with pytest.raises(FileExistsError, match="not made by converting an image"):
        convert_image(image, slide, 0.5)
    assert slide.read_bytes() == before


def test_slides_of_earlier_releases_which_do_not_say_of_what_they_are_are_made_anew(tmp_path):
    image, slide = _plain(tmp_path / "a.png", (200, 10, 10)), tmp_path / "a.tiff"
    write_pyramid(slide, np.full((200, 300, 3), (10, 10, 200), np.uint8), 0.5, (1, 2, 4))
    assert convert_image(image, slide, 0.5).status == "written"
    assert _pixels(slide)[0, 0].argmax() == 0


def test_what_a_slide_was_made_from_does_not_change_its_hash(tmp_path):
    """By which equal pictures under several names are found."""
    infos = []
    for name in ("one", "other"):
        image = _plain(tmp_path / name / "a.png", (200, 10, 10))
        infos.append(slide_info(convert_image(image, image.with_suffix(".tiff"), 0.5).slide))
        assert str(tmp_path).encode() not in image.with_suffix(".tiff").read_bytes()
    assert infos[0].quickhash == infos[1].quickhash


def test_a_large_tiff_does_not_fill_the_memory(tmp_path):
    import tracemalloc

    image = tmp_path / "a.tif"
    pixels = tifffile.memmap(image, shape=(8192, 2048, 3), dtype=np.uint8, photometric="rgb", rowsperstrip=16)
    pixels[:] = 200
    pixels.flush()
    del pixels
    tracemalloc.start()
    convert_image(image, tmp_path / "slide.tiff", 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8192 * 2048 * 3 / 4


@pytest.mark.parametrize("ome", [False, True])
def test_the_resolution_is_that_of_the_picture_that_is_read(tmp_path, picture, ome):
    """Some scanners put a thumbnail first, which states its own, coarser one."""
    image = tmp_path / ("a.ome.tif" if ome else "a.tif")
    with tifffile.TiffWriter(image, ome=ome) as tiff:
        for pixels, mpp in ((picture[::10, ::10].copy(), 5.0), (picture, 0.5)):
            stated = {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp} if ome else None
            resolution = None if ome else (1e4 / mpp, 1e4 / mpp)
            tiff.write(pixels, photometric="rgb", resolution=resolution, resolutionunit="CENTIMETER", metadata=stated)
    converted = convert_image(image, tmp_path / "slide.tiff")
    assert (converted.mpp, converted.size) == (pytest.approx(0.5), (530, 300))
    assert slide_info(tmp_path / "slide.tiff").mpp == pytest.approx(0.5)


def test_a_slide_that_cannot_be_written_is_not_the_image_s_fault(tmp_path, picture, monkeypatch):
    image = tmp_path / "a.png"
    Image.fromarray(picture).save(image)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"folder cannot be made: .*file'") as found:
        convert_image(image, tmp_path / "file" / "a.tiff", 0.5)
    assert not isinstance(found.value, SlideError)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    with pytest.raises(OSError, match=r"No space left on device; it could not be written: '.*a.tiff'") as found:
        convert_image(image, tmp_path / "a.tiff", 0.5)
    assert not isinstance(found.value, SlideError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "file"]


def test_what_killed_conversions_of_the_image_left_is_removed(tmp_path, picture):
    """Also those of other machines; what another conversion is writing stays."""
    Image.fromarray(picture).save(tmp_path / "a[1].png")
    for name in (".a[1].tiff.0123abcd.tmp", ".b.tiff.0123abcd.tmp"):
        (tmp_path / name).touch()
    convert_image(tmp_path / "a[1].png", tmp_path / "a[1].tiff", 0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.tiff.0123abcd.tmp", "a[1].png", "a[1].tiff"]
