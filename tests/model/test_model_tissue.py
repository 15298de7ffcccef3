"""A model keeps how tissue was found on the slides that it was trained on; one of an earlier release has Otsu's threshold."""

import numpy as np
import pytest
from made_overviews import made

from ats_mag.model.classifier import SlideClassifier
from ats_mag.model.export.stock_endpoints import stock_endpoints
from ats_mag.slides import numpy_tissue
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, OTSU, TissueOptions

pytestmark = pytest.mark.needs_tensorflow


def test_tissue_is_kept_with_the_model_and_served(build):
    options = TissueOptions(threshold=0.2, ink="keep")
    for model, expected in ((build(), DEFAULT_TISSUE), (build(tissue=options), options)):
        config = model.get_config()
        again = SlideClassifier.from_config(config)
        assert again.tissue == model.tissue == expected
        endpoint = next(e for e in stock_endpoints(again) if e.name == "tissue")
        image = made("pale H&E", "blue pen", "yellow", 0.15).image
        np.testing.assert_array_equal(endpoint.function(image)["mask"], numpy_tissue.tissue_mask(image, expected))
    config = build().get_config()
    del config["tissue"]  # as an earlier release wrote it
    assert SlideClassifier.from_config(config).tissue == OTSU


def test_plain_values_are_taken_and_others_refused(build):
    assert build(tissue={"method": "whole"}).tissue == TissueOptions("whole")
    with pytest.raises(ValueError, match="method must be one of bounded, otsu, whole"):
        build(tissue={"method": "best"})
