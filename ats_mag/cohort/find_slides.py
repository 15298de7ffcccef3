"""Which slides are to be predicted: files, folders of them, and manifests."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ats_mag.slides.own_mask import COLUMN, check_mask_folder, find_own_mask
from ats_mag.slides.slide_folder import DICOM, SlideFolder, stem_of

_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods")


@dataclass(frozen=True)
class CohortSlide:
    """One slide to predict.

    Attributes:
        path: the file.
        slide_id: of the manifest, else the file's name without its suffix.
        mpp: um/px of level 0; None: the file's own.
        tissue_mask: file that says where its tissue is, see `slides.own_mask`; None: it is to be found.
    """

    path: str
    slide_id: str
    mpp: float | None = None
    tissue_mask: str | None = None


def find_slides(
    places: Sequence[str | os.PathLike[str]],
    slide_root: str | os.PathLike[str] | None = None,
    mpp: float | None = None,
    masks: str | os.PathLike[str] | None = None,
) -> list[CohortSlide]:
    """The slides that files, folders and manifests name, each once, in their order.

    Args:
        places: slide files; folders, which are searched, subfolders included; manifests (CSV or XLSX), see
            `read_manifest`: the columns of paths (or ids) and of `mpp` matter, labels need not be there.
        slide_root: folder that the manifests' paths are relative to. None: each manifest's own folder.
        mpp: um/px of level 0 of the slides of which a manifest does not state it. None: the files' own.
        masks: folder of tissue masks that somebody drew, `SLIDE_ID.png` or `SLIDE_ID.geojson`, which a manifest's column
            `tissue_mask` names too. None: that column's paths are relative to the manifest's folder.

    Warns:
        UserWarning: what a manifest's reader had to assume.

    Raises:
        FileNotFoundError: a place does not exist.
        ManifestError: a manifest that cannot be used.
        NotADirectoryError: the slide root is not there.
        OwnMaskError: the folder of masks, or a mask that a manifest names, is not there.
        ValueError: no slide was found in a folder, or one slide is named with two resolutions.
    """
    if slide_root is not None and not os.path.isdir(slide_root):
        raise NotADirectoryError(f"the folder of slides {os.fspath(slide_root)!r} does not exist")
    check_mask_folder(masks)
    found: dict[str, CohortSlide] = {}
    for place in places:
        path = Path(place)
        if not path.exists():
            raise FileNotFoundError(f"{str(path)!r} does not exist: give slide files, folders of them, or manifests")
        for slide in _named_by(path, slide_root, mpp, masks):
            before = found.setdefault(os.path.abspath(slide.path), slide)
            if before.mpp != slide.mpp:
                raise ValueError(
                    f"slide {slide.path!r} is named twice, with {_stated(before.mpp)} and with {_stated(slide.mpp)}: "
                    "name it once"
                )
            if before.tissue_mask != slide.tissue_mask:
                raise ValueError(f"slide {slide.path!r} is named twice, with and without a tissue mask: name it once")
    return list(found.values())


def _named_by(
    path: Path, slide_root: str | os.PathLike[str] | None, mpp: float | None, masks: str | os.PathLike[str] | None
) -> Iterable[CohortSlide]:
    if path.is_dir():
        files = [os.path.join(path, name) for name in SlideFolder(path).slides]
        if not files:
            raise ValueError(f"there is no slide in the folder {str(path)!r} or below it")
        return (_of_file(file, mpp, masks) for file in _one_per_series(files))
    if path.suffix.lower() in _TABLES:
        return _of_manifest(path, path.parent if slide_root is None else slide_root, mpp, masks)
    return [_of_file(str(path), mpp, masks)]


def _of_file(file: str, mpp: float | None, masks: str | os.PathLike[str] | None) -> CohortSlide:
    slide_id = stem_of(file)
    return CohortSlide(file, slide_id, mpp, find_own_mask(slide_id, None, masks))


def _of_manifest(
    path: Path, slide_root: str | os.PathLike[str], mpp: float | None, masks: str | os.PathLike[str] | None
) -> Iterator[CohortSlide]:
    from ats_mag.cohort.manifest import read_manifest

    table = read_manifest(path, slides=slide_root, labelled=False)
    for note in table.attrs["notes"]:
        warnings.warn(f"manifest {str(path)!r}: {note}", stacklevel=2)
    drawn = table[COLUMN] if COLUMN in table else [""] * len(table)
    for slide_id, file, stated, mask in zip(table["slide_id"], table["path"], table["mpp"], drawn, strict=True):
        own = find_own_mask(slide_id, mask, masks, path.parent)
        yield CohortSlide(os.path.join(slide_root, file), slide_id, mpp if math.isnan(stated) else float(stated), own)


def _one_per_series(files: list[str]) -> Iterator[str]:
    """The files without all but the first of each DICOM slide, which is several files of one folder."""
    from ats_mag.slides.errors import SlideError
    from ats_mag.slides.properties import slide_info

    seen = set()
    for file in files:
        if file.lower().endswith(DICOM):
            try:
                series = os.path.dirname(file), slide_info(file).quickhash
            except SlideError:  # what is wrong with it is told when it is read
                series = os.path.dirname(file), file
            if series in seen:
                continue
            seen.add(series)
        yield file


def _stated(mpp: float | None) -> str:
    return "the file's own resolution" if mpp is None else f"{mpp:g} um/px"
