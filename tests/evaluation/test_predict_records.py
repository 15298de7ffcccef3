"""Predicting records: slide by slide, alike in any company, and what is refused."""

import numpy as np
import pytest

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture(scope="module")
def loaded(slides):
    from ats_mag.model.saving import load_model

    return load_model(slides / "model.keras", compile=False)


def test_only_what_a_slide_is_to_blame_for_is_skipped(slides, loaded, monkeypatch):
    from ats_mag.evaluation import predict_records as predict
    from ats_mag.records.record import find_records

    def fail(*_):
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(predict, "_predict_one", fail)
    with pytest.raises(ValueError, match="a mistake of ours"):
        predict.predict_records(loaded, find_records(slides / "records"), slides / "slides", skip_unreadable=True)


@pytest.mark.parametrize("method", ["topk", "exhaustive", "sequential", "priority", "replacement"])
def test_probabilities_do_not_depend_on_the_company(slides, loaded, monkeypatch, method):
    from ats_mag.evaluation.predict_records import predict_records
    from ats_mag.records.record import find_records

    monkeypatch.setattr(loaded, "test_method", method)
    records = find_records(slides / "records")[:3]
    together = predict_records(loaded, records, slides / "slides", draws=2).draws
    some = [1, 0]
    apart = predict_records(loaded, [records[i] for i in some], slides / "slides", draws=2).draws
    np.testing.assert_array_equal(apart, together[:, some])
    assert len(together) == (2 if method in ("sequential", "priority", "replacement") else 1)


def test_one_slide_is_predicted_as_a_batch_predicts_it(slides, loaded):
    from ats_mag.evaluation.evaluate import evaluate
    from ats_mag.records.dataset import dataset
    from ats_mag.records.record import find_records

    records = find_records(slides / "records")
    table, found = evaluate(loaded, records, slides / "slides")
    together = loaded.predict(dataset(records, slides / "slides", None), verbose=0)
    np.testing.assert_allclose(table[["p_a", "p_b"]], together, atol=1e-4)
    assert found["accuracy"] == (table["predicted"] == table["label"]).mean()


def test_a_small_slide_alone_has_room_for_all_draws(slides, loaded, monkeypatch):
    from ats_mag.evaluation.predict_records import predict_records
    from ats_mag.records.record import find_records

    monkeypatch.setattr(loaded, "test_n_patches", 600)  # more than the lattice of 16 x 16 cells at one magnification
    draws = predict_records(loaded, find_records(slides / "records")[:1], slides / "slides").draws
    assert np.isfinite(draws).all()


def test_records_of_another_resolution_are_refused(slides, loaded):
    from ats_mag.evaluation.predict_records import predict_records
    from ats_mag.records.record import find_records

    records = [{**r, "overview_mpp": 4.0} for r in find_records(slides / "records")]
    with pytest.raises(ValueError, match="overview of slide 's0' is of 4 um/px, the model was made for overviews of 8"):
        predict_records(loaded, records, slides / "slides")
