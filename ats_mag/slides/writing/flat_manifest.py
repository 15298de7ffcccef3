"""The manifest of slides that were made of flat images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def manifest_of(slides: dict[Path, Path]) -> pd.DataFrame:
    """A table with `slide_id`, `path` (relative to the folder of the slides) and `label`.

    Where the images lie in several folders, as data sets of classes do, the folder's name is the label; else the labels are
    empty, to be filled in.

    Args:
        slides: image -> slide, see `slide_names`.
    """
    import pandas as pd

    folders = {image: image.resolve().parent for image in slides}
    several = len(set(folders.values())) > 1
    rows = [(slide.stem, slide.name, folders[image].name if several else "") for image, slide in slides.items()]
    return pd.DataFrame(rows, columns=["slide_id", "path", "label"], dtype=object)
