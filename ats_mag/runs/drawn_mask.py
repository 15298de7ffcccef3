"""The tissue mask that a slide of a run was prepared with, where somebody drew it."""

from __future__ import annotations

from ats_mag.config.schema import RunConfig
from ats_mag.preparation.state import read_state
from ats_mag.slides.own_mask import SUFFIXES, OwnMaskError
from ats_mag.system.atomic_files import digest


def drawn_mask(config: RunConfig, slide_id: str) -> str | None:
    """The file, known by its content, whatever it is called; None: the tissue was found.

    Args:
        config: of the run.
        slide_id: of the slide.

    Raises:
        OwnMaskError: the file is gone, or has changed.
    """
    source = read_state(config.records, slide_id).source
    drawn = None if source is None else source.get("own_mask")
    if drawn is None:
        return None
    folder = config.prepare.tissue.masks
    found = [] if folder is None else sorted(folder.glob("**/*"))
    files = [file for file in found if file.suffix.lower() in SUFFIXES and file.is_file()]
    for file in sorted(files, key=lambda file: file.stem != slide_id):
        if digest(file) == drawn:
            return str(file)
    raise OwnMaskError(
        f"the tissue of slide {slide_id!r} was drawn by hand, and the mask that it was prepared with is not "
        f"there any more (`prepare.tissue.masks` is {folder and str(folder)!r}): bring it back, or run `ats-mag prepare` again"
    )
