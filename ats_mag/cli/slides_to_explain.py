"""Which slides `explain` is to draw, and where to: files, folders, manifests, and the test slides of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ats_mag.prediction import CohortSlide

_CONFIGURATIONS = (".yaml", ".yml")


def slides_to_explain(
    places: Sequence[Path],
    model: Path,
    slide_root: Path | None,
    mpp: float | None,
    fold: int | None,
    masks: Path | None = None,
) -> list[CohortSlide]:
    """The slides that places name.

    Args:
        places: as `find_slides` takes them, and configurations of runs, which stand for their test slides.
        model: the model's file, which lies in the folder of the fold whose test slides are meant.
        slide_root, mpp, masks: see `find_slides`. The test slides of a run have the masks that they were prepared with.
        fold: whose test slides are meant. None: the model's, or the only one.

    Raises:
        FileNotFoundError, ValueError: see `find_slides`; or it is not known which fold is meant.
    """
    from ats_mag.prediction import find_slides

    found: list[CohortSlide] = []
    for place in places:
        if place.suffix.lower() in _CONFIGURATIONS:
            found += _test_slides(place, model, fold, mpp)
        else:
            found += find_slides([place], slide_root, mpp, masks)
    return found


def folders_of(slides: Sequence[CohortSlide], out: Path, one_file: bool) -> list[Path]:
    """A folder of `out` for each slide, by its id; of one slide that was named by its file, `out` itself."""
    if one_file:
        return [out]
    folders: list[Path] = []
    taken: dict[str, int] = {}
    for slide in slides:
        count = taken[slide.slide_id] = taken.get(slide.slide_id, 0) + 1
        folders.append(out / (slide.slide_id if count == 1 else f"{slide.slide_id}-{count}"))
    return folders


def _test_slides(config: Path, model: Path, fold: int | None, mpp: float | None) -> list[CohortSlide]:
    from ats_mag.config.reading import read_config
    from ats_mag.prediction import CohortSlide
    from ats_mag.runs.drawn_mask import drawn_mask
    from ats_mag.runs.layout import FoldFiles
    from ats_mag.runs.run import Run

    run = Run.stored(read_config(config))
    of_model = FoldFiles(model.resolve().parent)
    if fold is None and of_model.folder.parent == run.layout.folder.resolve():
        fold = of_model.number
    if fold is None and len(run.folds) == 1:
        fold = 0
    if fold is None:
        raise ValueError(
            f"{str(model)!r} is no model of the run {str(run.config.run)!r}: say by --fold which test slides"
        )
    chosen = run.manifest[run.manifest["slide_id"].isin(run.test_slides(fold)["slide_id"])]
    found = []
    for slide_id, path, stated in chosen[["slide_id", "path", "mpp"]].itertuples(index=False):
        file = str(run.config.data.slides / path)
        own = drawn_mask(run.config, slide_id)
        found.append(CohortSlide(file, slide_id, _mpp(file, stated, mpp, run.config.data.default_mpp), own))
    return found


def _mpp(file: str, stated: float, given: float | None, default: float | None) -> float | None:
    """um/px of level 0, as preparing takes it: the manifest's, else the file's own, else the default."""
    from ats_mag.slides.errors import SlideError
    from ats_mag.slides.properties import slide_info

    if not math.isnan(stated):
        return float(stated)
    if given is not None or default is None:
        return given
    try:
        return default if slide_info(file).mpp_source is None else None
    except (OSError, SlideError):  # which is told when it is its turn
        return None
