"""How much of a model's attention falls on the places that are informative, where a cohort knows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ats_mag.cohort.splits import part_of
from ats_mag.config.schema import RunConfig
from ats_mag.geometry.lattice import Lattice
from ats_mag.records.record import find_records
from ats_mag.runs.run import Run

MAGNIFICATION_OF = {"fine": 0.5, "middle": 2.0, "coarse": 8.0}  # um/px, of slides of three scales


def attention_on_places(config: RunConfig, places: Path) -> dict[str, Any]:
    """Of the test slides of fold 0, per kind of place: the attention on it, and how much of that is on its cue's magnification.

    Args:
        config: of a run that is trained.
        places: `places.json` of a cohort; where it is absent, nothing is known.
    """
    import ats_mag
    from ats_mag.model.saving import load_model

    if not places.exists():
        return {}
    run, known = Run.open_divided(config), json.loads(places.read_text())
    model = load_model(run.layout.fold(0).model)
    slides = set(part_of(run.splits, 0, "test"))
    records = [record for record in find_records(config.records) if record["slide_id"] in slides]
    data = ats_mag.dataset(records, config.data.slides, None, 1, multiple=model.lattice.overview_multiple())
    on: dict[str, list[np.ndarray]] = {}
    for record, inputs in zip(records, data, strict=True):
        attention = np.asarray(model.attend(inputs)[0])
        for kind, inside in _inside(known[record["slide_id"]], record, model.lattice, attention.shape[:2]).items():
            on.setdefault(kind, []).append(attention[inside].sum(0))
    return {"places": {kind: _share(kind, np.mean(masses, axis=0), model.lattice) for kind, masses in on.items()}}


def _share(kind: str, mass: np.ndarray, lattice: Lattice) -> dict[str, float]:
    found = {"attention": float(mass.sum())}
    mpp = MAGNIFICATION_OF.get(kind)
    if mpp in lattice.magnifications:
        found["share_on_its_magnification"] = float(mass[lattice.magnifications.index(mpp)] / mass.sum())
    return found


def _inside(places: Any, record: dict[str, Any], lattice: Lattice, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Cells `(H, W)` whose centre lies in a place, by kind."""
    column, row = lattice.centres(record["geometry"], shape)
    found: dict[str, np.ndarray] = {}
    for place in places["places"]:
        rows = (row >= place["y"]) & (row < place["y"] + place["side"])
        inside = rows[:, None] & (column >= place["x"]) & (column < place["x"] + place["side"])
        kind = place.get("kind", "informative")
        found[kind] = found.get(kind, False) | inside
    return found
