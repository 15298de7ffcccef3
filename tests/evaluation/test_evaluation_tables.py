"""Predictions of slides and patients as tables."""

import numpy as np
import pandas as pd
import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.evaluation.measures import measures
from ats_mag.evaluation.result_files import read_table, write_table
from ats_mag.evaluation.sampling_noise import sampling_noise
from ats_mag.evaluation.tables import patient_table, score_table, slide_table

CLASSES = ["a", "b"]


def slides(labels, patients):
    ids = [f"s{i}" for i in range(len(labels))]
    return pd.DataFrame({"slide_id": ids, "patient_id": patients, "label": labels})


def draws(*of_slides):
    """Probabilities of class b, `(D, n)`."""
    p = np.array(of_slides)
    return np.stack([1 - p, p], axis=-1)


def test_means_over_draws_and_slides():
    of = slides(["a", "b", "b"], ["p", "q", "q"])
    p = draws([0.1, 0.6, 0.9], [0.3, 0.8, 0.7])
    table = slide_table(of, p, CLASSES, True, sd=True)
    assert list(table) == ["slide_id", "patient_id", "label", "p_a", "p_b", "predicted", "sd_a", "sd_b"]
    np.testing.assert_allclose(table["p_b"], [0.2, 0.7, 0.8])
    np.testing.assert_allclose(table["sd_b"], np.array([0.2, 0.2, 0.2]) / np.sqrt(2))
    assert table["predicted"].tolist() == ["a", "b", "b"]
    patients = patient_table(of, p, CLASSES, True, sd=True)
    assert list(patients) == ["patient_id", "slides", "label", "p_a", "p_b", "predicted", "sd_a", "sd_b"]
    assert patients[["patient_id", "slides", "label"]].to_numpy().tolist() == [["p", 1, "a"], ["q", 2, "b"]]
    np.testing.assert_allclose(patients["p_b"], [0.2, 0.75])
    # The two slides of q move in opposite directions: their mean stays.
    np.testing.assert_allclose(patients["sd_b"], [0.2 / np.sqrt(2), 0], atol=1e-12)


def test_a_patient_whose_slides_differ_has_no_single_label():
    of = slides(["a", "b", "b"], ["p", "p", "q"])
    patients = patient_table(of, draws([0.1, 0.6, 0.9]), CLASSES, True, sd=False)
    assert patients["label"].tolist() == ["", "b"]
    assert score_table(patients, "x", "patient", CLASSES, True).patients.tolist() == ["q"]


def test_a_patient_has_every_label_of_its_slides():
    of = slides(["a", "b;a", ""], ["p", "p", "q"])
    p = np.array([[[0.9, 0.2], [0.7, 0.9], [0.1, 0.2]]])
    patients = patient_table(of, p, CLASSES, False, sd=False)
    assert patients["label"].tolist() == ["a;b", ""]
    assert patients["predicted"].tolist() == ["a;b", ""]
    assert score_table(patients, "x", "patient", CLASSES, False).truth.tolist() == [[True, True], [False, False]]


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(0, 100)), min_size=1, max_size=12))
def test_with_one_slide_per_patient_both_levels_are_the_same(rows):
    of = slides([label for label, _ in rows], [f"p{i:02}" for i in range(len(rows))])
    p = draws([p / 100 for _, p in rows])
    tables = slide_table(of, p, CLASSES, True, False), patient_table(of, p, CLASSES, True, False)
    first, second = (measures(score_table(t, "x", "row", CLASSES, True), warn=False) for t in tables)
    np.testing.assert_equal(first, second)


def test_tables_come_back_as_they_were(tmp_path):
    of = slides(["01", "NA"], ["007", "nan"])
    table = slide_table(of, np.random.default_rng(0).random((3, 2, 2)), ["01", "NA"], True, sd=True)
    table.loc[1, "p_01"] = np.nan
    write_table(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), table, check_exact=True, check_dtype=False)
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_the_noise_of_draws():
    of = slides(["a", "b", "b"], ["p", "q", "r"])
    p = draws([0.1, 0.6, 0.9], [0.1, 0.4, 0.9])
    scored = score_table(slide_table(of, p, CLASSES, True, sd=True), "x", "slide", CLASSES, True)
    found = sampling_noise(scored, p)
    assert found["changed"] == pytest.approx(1 / 3)
    assert found["median_sd"] == pytest.approx(0)
    assert found["largest_sd"] == pytest.approx(0.2 / np.sqrt(2))
    assert found["measures"]["accuracy"] == {
        "mean": pytest.approx(5 / 6),
        "sd": pytest.approx(np.std([1, 2 / 3], ddof=1)),
    }
    assert found["measures"]["auroc"] == {"mean": 1, "sd": 0}
    assert sampling_noise(scored, p[:1]) is None
