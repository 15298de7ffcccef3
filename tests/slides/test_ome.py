"""The resolution of OME-TIFF files, which stands in their XML."""

import numpy as np
import pytest
import tifffile

from ats_mag.slides.properties import slide_info
from ats_mag.slides.reader import slide_geometry

_IMAGE = np.full((512, 640, 3), 200, np.uint8)


def _xml(attributes, prefix="", size=(640, 512), more=""):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><{prefix}OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{more}'
        f'<{prefix}Image ID="Image:0"><{prefix}Pixels ID="Pixels:0" DimensionOrder="XYCZT" SizeX="{size[0]}" SizeY="{size[1]}" '
        f'{attributes} Type="uint8"><Channel ID="Channel:0:0"/></{prefix}Pixels></{prefix}Image></{prefix}OME>'
    )


def _write(path, xml, **options):
    tifffile.imwrite(
        path, _IMAGE, tile=(128, 128), photometric="rgb", metadata=None, description=xml.encode(), **options
    )
    return str(path)


def test_files_with_levels_in_sub_ifds(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        about = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.26}
        about["PhysicalSizeYUnit"] = "µm"
        options = {"tile": (128, 128), "photometric": "rgb", "compression": "jpeg"}
        file.write(_IMAGE, subifds=1, metadata=about, **options)
        file.write(_IMAGE[::2, ::2], subfiletype=1, **options)
    info = slide_info(path)
    assert info.mpp == pytest.approx(0.255)
    assert info.mpp_source == "ome.PhysicalSizeX"
    assert slide_geometry([str(path)])[1].numpy()[0] == info.mpp


@pytest.mark.parametrize("prefix", ["", "ome:"])
@pytest.mark.parametrize(
    ("attributes", "mpp"),
    [
        ('PhysicalSizeX="0.5" PhysicalSizeY="0.5"', 0.5),
        ('PhysicalSizeX="0.5"', 0.5),
        ("PhysicalSizeX='0.5' PhysicalSizeXUnit='µm'", 0.5),
        ('PhysicalSizeX="0.5" PhysicalSizeXUnit="&#181;m"', 0.5),
        ('PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="0.0005" PhysicalSizeYUnit="mm"', 0.5),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"', None),
        ('NoPhysicalSizeX="0.5"', None),
        ('PhysicalSizeX="half"', None),
        ('PhysicalSizeX="0.5', None),
    ],
)
def test_spellings(tmp_path, attributes, mpp, prefix):
    info = slide_info(_write(tmp_path / "a.tif", _xml(attributes, prefix), resolution=(1, 1), resolutionunit="NONE"))
    assert (info.mpp, info.mpp_source) == (mpp, None if mpp is None else "ome.PhysicalSizeX")


def test_the_picture_of_the_slides_size_counts(tmp_path):
    thumbnail = '<Image ID="Image:9"><Pixels SizeX="64" SizeY="51" PhysicalSizeX="5" PhysicalSizeY="5"/></Image>'
    xml = _xml('PhysicalSizeX="0.5" PhysicalSizeY="0.5"', more=thumbnail)
    assert slide_info(_write(tmp_path / "a.tif", xml)).mpp == 0.5
    neither = _xml('PhysicalSizeX="0.5"', more=thumbnail, size=(10, 10))
    assert slide_info(_write(tmp_path / "b.tif", neither, resolution=(1, 1), resolutionunit="NONE")).mpp is None


def test_it_goes_before_the_resolution_of_the_tiff(tmp_path):
    """Which writers of OME-TIFF often leave at 72 dots per inch."""
    path = _write(tmp_path / "a.tif", _xml('PhysicalSizeX="0.5"'), resolution=(72, 72), resolutionunit="INCH")
    info = slide_info(path)
    assert (info.mpp, info.mpp_source, info.mpp_problem) == (0.5, "ome.PhysicalSizeX", None)


def test_an_implausible_one_is_refused(tmp_path):
    info = slide_info(_write(tmp_path / "a.tif", _xml('PhysicalSizeX="500"')))
    assert info.mpp is None
    assert "500 um/px from ome.PhysicalSizeX" in info.mpp_problem
