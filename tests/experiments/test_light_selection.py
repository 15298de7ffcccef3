"""The selection by a light network: which fields it sees, which it takes, and a miniature end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ats_mag.config.schema import RunConfig
from experiments.cohort_runs.light_selection import chosen_places, light_config


def test_light_fields_are_the_same_ones_at_a_quarter_of_the_resolution() -> None:
    config = RunConfig.model_validate({"model": {"magnifications": [2.0], "patch_size": 128, "stride": 32}})
    light = light_config(config).model
    assert (light.magnifications, light.patch_size, light.encoder_size, light.stride) == ([8.0], 32, 64, 32)
    several = RunConfig.model_validate({"model": {"magnifications": [0.5, 2.0]}})
    with pytest.raises(ValueError, match=r"fields of one magnification. Received: \[0\.5, 2\.0\]"):
        light_config(several)


def test_the_places_of_most_attention_are_taken() -> None:
    assert chosen_places(np.array([0.1, 0.5, 0.1, 0.3]), 3).tolist() == [1, 3, 0]
    assert chosen_places(np.array([0.4, 0.6]), 25).tolist() == [1, 0]


@pytest.mark.long
def test_a_miniature_end_to_end(tmp_path) -> None:
    from experiments.cohort_runs.runs import measure
    from experiments.glas.experiment import make_cohort, stand_in

    cohort = tmp_path / "cohort"
    make_cohort("glas", stand_in(tmp_path / "data"), cohort)
    fields = {"model.magnifications": [1.2401], "model.patch_size": 32, "model.stride": 8}
    measure(cohort, tmp_path / "out", 1, ["light selection", "all patches"], True, others={"light selection": fields})
    light, every = (
        json.loads((tmp_path / "out" / f"{name}-seed0.json").read_text()) for name in ("light-selection", "all-patches")
    )
    assert light["slides"]["count"] == every["slides"]["count"] == 6
    (said,) = light["about"]
    assert said["patches_per_slide"] <= min(25, said["fields_per_slide"])
    assert said["encoding_seconds"] > 0
    assert every["about"][0]["encoding_seconds"] > 0
