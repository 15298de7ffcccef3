"""Everything that explains one slide's prediction, in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from ats_mag.pictures.drawing import draw_attention_picture, draw_patch_sheet
from ats_mag.pictures.geojson import write_geojson
from ats_mag.pictures.look import SlideLook
from ats_mag.pictures.maps import write_maps

QUPATH = "slide-qupath.geojson"


def write_explanation(look: SlideLook, out: str | os.PathLike[str]) -> list[Path]:
    """Writes `attention.png`, `patches.png`, `maps.npz` and `slide.geojson`.

    Of a slide whose file states bounds, also `slide-qupath.geojson`, in which they are the origin, see `feature_collection`.

    Args:
        look: of the slide.
        out: the folder, made where absent; files of these names are replaced.

    Returns:
        The files.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in ("attention.png", "patches.png", "maps.npz", "slide.geojson")]
    draw_attention_picture(look, files[0])
    draw_patch_sheet(look, files[1])
    write_maps(look, files[2])
    write_geojson(look, files[3])
    if look.origin.any():
        files.append(folder / QUPATH)
        write_geojson(look, files[-1], "bounds")
    else:
        (folder / QUPATH).unlink(missing_ok=True)  # of another slide
    return files
