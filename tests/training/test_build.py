"""A model is built as the configuration says."""

import pytest

from ats_mag.config.schema import RunConfig
from ats_mag.training.build import build_model, recipe_of


@pytest.mark.parametrize(("asked", "taken"), [(None, 4), (6, 6)])
def test_patches_while_testing(asked, taken):
    model = {"encoder": "small", "magnifications": [0.5, 2.0], "patch_size": 16, "n_patches": 4, "stride": 4}
    config = RunConfig.model_validate({"model": {**model, "test_n_patches": asked}})
    built = build_model(config, recipe_of(config), ["a", "b"], 8.0, 10, 2)
    assert (built.n_patches, built.test_n_patches) == (4, taken)
