"""The colour baseline learns from few slides, too, without a word of the library beneath it."""

import numpy as np

from ats_mag.evaluation.colour_histograms import BINS, learn


def test_a_slide_unlike_all_others_makes_no_score_infinite(recwarn):
    random = np.random.default_rng(0)
    features = random.random((6, 2, 3 * BINS)) * 0.01
    features[5] = 1e6  # of which the model of the others is so sure that its probability rounds to 0
    truth = np.array([0, 1, 0, 1, 0, 1])
    features[truth == 0] += 0.5
    found = learn(features, truth, np.array([f"p{i}" for i in range(6)]))
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert not [one for one in recwarn if issubclass(one.category, RuntimeWarning)]
