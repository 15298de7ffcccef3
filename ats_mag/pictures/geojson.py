"""GeoJSON of what a model looked at, for QuPath and for whatever reads GeoJSON."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

import ats_mag
from ats_mag.pictures.bands import attention_bands, band_name
from ats_mag.pictures.colours import magnification_colour, rgb
from ats_mag.pictures.heaviest_patches import heaviest_first, patch_attention, score_names
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.system.atomic_files import write_whole
from ats_mag.system.json_text import json_bytes

ORIGINS = ("slide", "bounds")
_DIGITS = 3  # of a pixel
_PALER = (0.0, 0.3, 0.5, 0.65, 0.8)  # share of white in a band's colour


Feature: TypeAlias = dict[str, Any]  # of GeoJSON


def write_geojson(inspected: InspectedSlide, path: str | os.PathLike[str], origin: str = "slide") -> None:
    """Writes `feature_collection` to a file, whole or not at all."""
    write_whole(path, json_bytes(feature_collection(inspected, origin), indent=None, allow_nan=False))


def feature_collection(inspected: InspectedSlide, origin: str = "slide") -> dict[str, Any]:
    """The sampled patches and the attention as a FeatureCollection.

    Geometries are valid by RFC 7946: closed rings, exterior ones counterclockwise in (x, y) as numbers, interior ones
    clockwise. Coordinates are pixels of level 0, y downwards, instead of degrees.

    A patch is an annotation: the square that it covers (which may end outside of the slide), with the magnification, its
    cell's attention, its weight and its contribution to each class score as measurements. The attention of a
    magnification is up to five detections, see `attention_bands`, each with its attention, cells and area. Both carry
    QuPath's `objectType`, `name`, `classification` and `measurements`.

    Args:
        inspected: of the slide.
        origin: where (0, 0) lies. `slide`: as in OpenSlide, the corner of level 0. `bounds`: as in QuPath, the corner of the
            scanned area; the same unless the file states bounds (MRXS, some SCN and BIF).

    Raises:
        ValueError: an unknown origin.
    """
    if origin not in ORIGINS:
        raise ValueError(f"origin must be 'slide' or 'bounds'. Received: origin={origin!r}")
    x0, y0, width, height = (int(value) for value in inspected.geometry[:4])
    shift = np.array([x0, y0]) if origin == "bounds" else np.zeros(2, int)
    return {
        "type": "FeatureCollection",
        "features": [*_bands(inspected, shift), *_patches(inspected, shift)],
        "ats_mag": {
            "version": ats_mag.__version__,
            "slide": inspected.name,
            "origin": origin,
            "bounds": [x0, y0, width, height],
            "um_per_px": round(inspected.mpp, 7),
            "probabilities": {
                name: float(p) for name, p in zip(inspected.classes, inspected.probabilities, strict=True)
            },
        },
    }


def _patches(inspected: InspectedSlide, shift: np.ndarray) -> list[Feature]:
    attention, names = patch_attention(inspected), score_names(inspected)
    found = []
    for number, i in enumerate(heaviest_first(inspected), start=1):
        magnification = int(inspected.index[i, 2])
        mpp = inspected.lattice.magnifications[magnification]
        left, top = inspected.location[i] - shift
        right, bottom = inspected.location[i] - shift + inspected.side_px[i]
        measurements = {
            "magnification (um/px)": mpp,
            "field of view (um)": inspected.lattice.field_of_view_um(magnification),
            "attention": attention[i],
            "weight": inspected.weight[i],
            **{f"contribution {name}": inspected.contribution[i, c] for c, name in enumerate(names)},
        }
        ring = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        geometry = {"type": "Polygon", "coordinates": [_plain(ring)]}
        name, kind = f"patch {number}", f"Patch {mpp:.3g} um/px"
        found.append(
            _feature(inspected, geometry, "annotation", name, kind, magnification_colour(magnification), measurements)
        )
    return found


def _bands(inspected: InspectedSlide, shift: np.ndarray) -> list[Feature]:
    """The faintest first, so that the denser ones are drawn over them."""
    import shapely

    found = []
    for magnification, mpp in enumerate(inspected.lattice.magnifications):
        attention = inspected.attention[..., magnification]
        bands = attention_bands(attention)
        for band in reversed(range(len(_PALER))):
            here = bands == band
            if not here.any():
                continue
            row, column = np.nonzero(here)
            # In whole cells, in which neighbours share their corners exactly.
            area = shapely.union_all(shapely.box(column, row, column + 1, row + 1))
            origin = inspected.origin - shift
            area = shapely.transform(area, lambda cells, o=origin: np.round(cells * inspected.cell_px + o, _DIGITS))
            geometry = json.loads(shapely.to_geojson(shapely.orient_polygons(area)))
            measurements = {
                "magnification (um/px)": mpp,
                "attention": attention[here].sum(),
                "cells": int(here.sum()),
                "attention per cell": attention[here].mean(),
                "area (mm2)": here.sum() * (inspected.lattice.cell_um / 1000) ** 2,
            }
            name = f"Attention {mpp:.3g} um/px, {band_name(band)}"
            colour = _paler(magnification_colour(magnification), _PALER[band])
            found.append(_feature(inspected, geometry, "detection", name, name, colour, measurements))
    return found


def _feature(
    inspected: InspectedSlide,
    geometry: dict[str, Any],
    kind: str,
    name: str,
    classification: str,
    colour: str,
    measurements: Mapping[str, float],
) -> Feature:
    # QuPath takes UUIDs only; the same patch or area gets the same one again.
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"ats_mag:{inspected.name}:{classification}:{name}")
    return {
        "type": "Feature",
        "id": str(number),
        "geometry": geometry,
        "properties": {
            "objectType": kind,
            "name": name,
            "classification": {"name": classification, "color": list(rgb(colour))},
            "isLocked": True,
            "measurements": {key: float(f"{value:.9g}") for key, value in measurements.items()},
        },
    }


def _plain(ring: list[tuple[float, float]]) -> list[list[float]]:
    """Whole pixels as whole numbers."""
    rounded = [[round(float(value), _DIGITS) for value in point] for point in ring]
    return [[int(value) if value.is_integer() else value for value in point] for point in rounded]


def _paler(colour: str, white: float) -> str:
    return "#" + "".join(f"{round(value + (255 - value) * white):02x}" for value in rgb(colour))
