"""The slides that are read: made ones of four kinds, and real ones where there are some."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import openslide

from experiments.benchmarks import made_slides
from experiments.benchmarks.made_dicom import write_dicom
from experiments.common.processes import ROOT

MADE = {
    "made JPEG": "jpeg.tiff",
    "made Aperio JPEG": "aperio.svs",
    "made Aperio JPEG 2000": "aperio-2000.svs",
    "made DICOM JPEG": "dicom/level-0.dcm",  # where pydicom is installed
}


def make_slides(work: Path, side: int) -> dict[str, Path]:
    """The made slides, each made only where it is not there yet."""
    made = {name: work / f"{side}-{file}" for name, file in MADE.items()}
    if not all(path.exists() for path in made.values()):
        image = made_slides.tissue(side)
        jpeg, aperio, jpeg_2000, dicom = made.values()
        made_slides.tiff(jpeg, image)
        whole = side // 3840 * 3840 or side  # a multiple of the 240-pixel tiles at every level
        made_slides.aperio_jpeg(aperio, image[:whole, :whole])
        made_slides.aperio_jpeg_2000(jpeg_2000, image[:4096, :4096])
        if importlib.util.find_spec("pydicom") is not None:
            write_dicom(dicom.parent, image[:8192, :8192])
    return {name: path for name, path in made.items() if path.exists()}


def real_slides() -> dict[str, Path]:
    """Slides at hand that OpenSlide opens."""
    folder = Path(os.environ.get("ATS_MAG_DATA", ROOT.parent / "shared" / "data")) / "slides"
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "broken" not in path.parts and openslide.OpenSlide.detect_format(path):
            found[path.name] = path
    return found
