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
MAGNIFICATION_OF_DEMO = {"fine": 0.5, "coarse": 2.0}


def attention_on_places(config: RunConfig, places: Path) -> dict[str, Any]:
    """Of the test slides of fold 0: the attention's distance from uniform and, per kind of place, the attention on it and
    how much of that is on the magnification of its cue.

    Args:
        config: of a run that is trained.
        places: `places.json` of a cohort; where it is absent only the entropy and the magnifications' masses are given.
    """
    import ats_mag
    from ats_mag.model.saving import load_model

    run = Run.open_divided(config)
    model = load_model(run.layout.fold(0).model)
    slides = set(part_of(run.splits, 0, "test"))
    records = [record for record in find_records(config.records) if record["slide_id"] in slides]
    data = ats_mag.dataset(records, config.data.slides, None, 1, multiple=model.lattice.overview_multiple())
    known = json.loads(places.read_text()) if places.exists() else {}
    bits, mass, on = [], [], {}
    for record, inputs in zip(records, data, strict=True):
        attention = np.asarray(model.attend(inputs)[0])
        cells = (attention > 0).sum()
        entropy = -(attention[attention > 0] * np.log(attention[attention > 0])).sum()
        bits.append((np.log(cells) - entropy) / np.log(2))
        mass.append(attention.sum((0, 1)))
        for kind, inside in _inside(known.get(record["slide_id"]), record, model.lattice, attention.shape[:2]).items():
            on.setdefault(kind, []).append(attention[inside].sum(0))
    found: dict[str, Any] = {
        "bits_from_uniform": float(np.mean(bits)),
        "magnification_mass": np.mean(mass, axis=0).tolist(),
    }
    if on:
        found["places"] = {
            kind: _share(kind, np.mean(masses, axis=0), model.lattice, known) for kind, masses in on.items()
        }
    return found


def _share(kind: str, mass: np.ndarray, lattice: Lattice, known: dict[str, Any]) -> dict[str, float]:
    found = {"attention": float(mass.sum())}
    of_demo = isinstance(next(iter(known.values())), list)
    mpp = (MAGNIFICATION_OF_DEMO if of_demo else MAGNIFICATION_OF).get(kind)
    if mpp in lattice.magnifications:
        found["share_on_its_magnification"] = float(mass[lattice.magnifications.index(mpp)] / mass.sum())
    return found


def _inside(places: Any, record: dict[str, Any], lattice: Lattice, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Cells `(H, W)` whose centre lies in a place, by kind."""
    column, row = lattice.centres(record["geometry"], shape)
    found: dict[str, np.ndarray] = {}
    for place in (places["places"] if isinstance(places, dict) else places) or ():
        if "radius" in place:
            inside = np.hypot(column[None] - place["x"], row[:, None] - place["y"]) < place["radius"]
        else:
            rows = (row >= place["y"]) & (row < place["y"] + place["side"])
            inside = rows[:, None] & (column >= place["x"]) & (column < place["x"] + place["side"])
        kind = place.get("kind", "informative")
        found[kind] = found.get(kind, False) | inside
    return found
