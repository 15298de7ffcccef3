"""A DICOM slide made for the benchmarks, as scanners write them: a file per level, tiles of JPEG one after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np

from experiments.benchmarks.made_slides import MPP, QUALITY, averaged_levels

TILE = 256
JPEG = "1.2.840.10008.1.2.4.50"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_ROOT = "1.2.826.0.1.3680043.8.498."  # pydicom's, of identifiers that are made up


def write_dicom(folder: Path, image: np.ndarray) -> Path:
    """Levels 1, 4, 16 of an RGB image as a series in a folder of its own; the file of level 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (downsample, level) in enumerate(averaged_levels(image, (1, 4, 16)).items()):
        _write_level(folder / f"level-{number}.dcm", level, number, MPP * downsample)
    return folder / "level-0.dcm"


def _write_level(path: Path, image: np.ndarray, number: int, mpp: float) -> None:
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.sequence import Sequence

    height, width = image.shape[:2]
    across, down = -(-width // TILE), -(-height // TILE)
    padded = np.pad(image, ((0, down * TILE - height), (0, across * TILE - width), (0, 0)), mode="edge")
    tiles = [
        np.ascontiguousarray(padded[y * TILE :][:TILE, x * TILE :][:, :TILE])
        for y in range(down)
        for x in range(across)
    ]
    with ThreadPoolExecutor() as pool:
        frames = list(pool.map(_encoded, tiles))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = WHOLE_SLIDE, f"{_ROOT}3.{number}"
    meta.TransferSyntaxUID = JPEG
    slide = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    slide.SOPClassUID, slide.SOPInstanceUID = WHOLE_SLIDE, meta.MediaStorageSOPInstanceUID
    slide.StudyInstanceUID, slide.SeriesInstanceUID, slide.FrameOfReferenceUID = (f"{_ROOT}{i}" for i in (1, 2, 4))
    slide.Modality, slide.SeriesNumber, slide.InstanceNumber = "SM", 1, number + 1
    slide.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "RESAMPLED" if number else "NONE"]
    slide.Rows = slide.Columns = TILE
    slide.TotalPixelMatrixRows, slide.TotalPixelMatrixColumns = height, width
    slide.TotalPixelMatrixFocalPlanes, slide.NumberOfOpticalPaths, slide.NumberOfFrames = 1, 1, len(frames)
    slide.ImagedVolumeWidth, slide.ImagedVolumeHeight, slide.ImagedVolumeDepth = (
        width * mpp / 1e3,
        height * mpp / 1e3,
        1,
    )
    slide.DimensionOrganizationType = "TILED_FULL"
    slide.SamplesPerPixel, slide.PlanarConfiguration, slide.PixelRepresentation = 3, 0, 0
    slide.BitsAllocated, slide.BitsStored, slide.HighBit = 8, 8, 7
    slide.PhotometricInterpretation = "YBR_FULL_422"
    slide.LossyImageCompression, slide.LossyImageCompressionMethod = "01", "ISO_10918_1"
    measures, shared, optical = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [mpp / 1e3, mpp / 1e3], 1
    shared.PixelMeasuresSequence = Sequence([measures])
    optical.OpticalPathIdentifier = "1"
    slide.SharedFunctionalGroupsSequence, slide.OpticalPathSequence = Sequence([shared]), Sequence([optical])
    slide.PixelData = encapsulate(frames)
    slide["PixelData"].is_undefined_length = True
    slide.save_as(path, enforce_file_format=True)


def _encoded(tile: np.ndarray) -> bytes:
    return imagecodecs.jpeg8_encode(tile, level=QUALITY, subsampling="420")
