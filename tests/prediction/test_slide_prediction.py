import numpy as np
import pytest

from ats_mag.prediction.predictor import SlidePrediction


@pytest.mark.parametrize(
    ("probabilities", "exclusive", "predicted"),
    [
        ([0.2, 0.5, 0.3], True, "b"),
        ([0.5, 0.5, 0.0], True, "a"),
        ([0.6, 0.5, 0.7], False, "a;c"),
        ([0.1, 0.2, 0.3], False, ""),
    ],
)
def test_a_row_says_which_classes_are_predicted(probabilities, exclusive, predicted):
    row = SlidePrediction(["a", "b", "c"], np.array(probabilities), exclusive).columns()
    assert list(row) == ["p_a", "p_b", "p_c", "predicted"]
    assert row["predicted"] == predicted
