"""Test slides to look at: surely right, surely wrong, and unsure, each with its picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SHOWN = 4  # of each kind
SIDE = 280  # pixels of the longer side of a picture


def examples(rows: list[dict[str, Any]], pictures: Mapping[str, Path]) -> list[dict[str, Any]]:
    """The slides to show.

    Args:
        rows: test slides, each with `slide`, `right` and `probabilities`; several classes at once have no margin and are
            ordered by how far their least decided class is from 0.5.
        pictures: of slides by their id; those without are left out.

    Returns:
        `title` and `slides`, rows with a `picture` as data URI; kinds of which there is none are left out.
    """
    rows = [row for row in rows if str(row["slide"]) in pictures and all(p == p for p in row["probabilities"])]
    rows = sorted(rows, key=_sureness, reverse=True)
    kinds = {
        "Right, and sure": [row for row in rows if row["right"]][:SHOWN],
        "Wrong, the surest first": [row for row in rows if not row["right"]][:SHOWN],
        "Unsure, the least sure first": rows[::-1][:SHOWN],
    }
    return [
        {"title": title, "slides": [{**row, "picture": _thumbnail(pictures[str(row["slide"])])} for row in chosen]}
        for title, chosen in kinds.items()
        if chosen
    ]


def _sureness(row: dict[str, Any]) -> float:
    """How far the decision is from another one."""
    if not row["exclusive"]:
        return min(abs(p - 0.5) for p in row["probabilities"])
    first, second = sorted(row["probabilities"], reverse=True)[:2]
    return float(first - second)


def _thumbnail(file: Path) -> str | None:
    from PIL import Image

    try:
        with Image.open(file) as sheet:
            sheet.thumbnail((SIDE, SIDE))
            encoded = io.BytesIO()
            sheet.convert("RGB").save(encoded, "JPEG", quality=85)
    except OSError:  # a damaged sheet; the table links to it all the same
        return None
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()
