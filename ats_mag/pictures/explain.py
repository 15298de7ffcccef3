"""Everything that explains one slide's prediction, in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from ats_mag.pictures.attention_picture import draw_attention_picture
from ats_mag.pictures.geojson import write_geojson
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.pictures.maps import write_maps
from ats_mag.pictures.patch_sheet import draw_patch_sheet

QUPATH = "slide-qupath.geojson"


def write_explanation(inspected: InspectedSlide, out: str | os.PathLike[str]) -> list[Path]:
    """Writes `attention.png`, `patches.png`, `maps.npz` and `slide.geojson`.

    Of a slide whose file states bounds, also `slide-qupath.geojson`, in which they are the origin, see `feature_collection`.

    Args:
        inspected: of the slide.
        out: the folder, made where absent; files of these names are replaced.

    Returns:
        The files.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in ("attention.png", "patches.png", "maps.npz", "slide.geojson")]
    draw_attention_picture(inspected, files[0])
    draw_patch_sheet(inspected, files[1])
    write_maps(inspected, files[2])
    write_geojson(inspected, files[3])
    if inspected.origin.any():
        files.append(folder / QUPATH)
        write_geojson(inspected, files[-1], "bounds")
    else:
        (folder / QUPATH).unlink(missing_ok=True)  # of another slide
    return files
