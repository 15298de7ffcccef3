"""Slides by path where Keras takes arrays."""

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.needs_tensorflow


def test_predict_takes_a_path_a_folder_and_a_manifest(build, cohort):
    model, folder = build(), cohort / "slides"
    files = sorted(folder.iterdir())
    of_folder = model.predict(folder)
    assert of_folder.shape == (len(files), 3)
    np.testing.assert_allclose(model.predict(str(files[1])), of_folder[1:2], atol=1e-6)
    np.testing.assert_allclose(model.predict(files[:2]), of_folder[:2], atol=1e-6)
    assert len(np.unique(of_folder.round(6), axis=0)) > 1
    table = model.predict_slides(folder)
    assert table["slide_id"].tolist() == [file.stem for file in files]
    np.testing.assert_allclose(table[["p_a", "p_b", "p_c"]], of_folder, atol=1e-6)
    assert table["predicted"].tolist() == [model.classes[c] for c in of_folder.argmax(axis=1)]
    rows = pd.read_csv(cohort / "manifest.csv")[["slide_id", "path"]]
    rows["path"] = [str(folder / path) for path in rows["path"]]
    rows[:3].to_csv(cohort / "three.csv", index=False)
    np.testing.assert_allclose(model.predict(cohort / "three.csv"), of_folder[:3], atol=1e-6)


def test_a_slide_alone_is_what_its_record_is(build, cohort, records):
    """In evaluation a record is predicted alone, too."""
    from ats_mag.evaluation.predict_records import predict_records
    from ats_mag.records.record import find_records

    model = build()
    draws = predict_records(model, find_records(records), cohort / "slides").draws
    np.testing.assert_allclose(model.predict(cohort / "slides"), draws[0], atol=1e-6)


def test_evaluate_takes_labels_in_order_or_by_name(build, cohort):
    model, folder = build(), cohort / "slides"
    files = sorted(folder.iterdir())[:3]
    p = model.predict(files)
    expected = -np.log(p[np.arange(3), [0, 1, 2]]).mean()
    for y in (["a", "b", "c"], [0, 1, 2], {"s1": "b", "s2": "c", "s0": "a"}):
        assert model.evaluate(files, y, return_dict=True)["cross_entropy"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match=r"a label for each of the 3 slides as y\. Received: 2"):
        model.evaluate(files, ["a", "b"])
    with pytest.raises(ValueError, match="y has no label of slide 's1'"):
        model.evaluate(files, {"s0": "a"})
    with pytest.raises(ValueError, match="'s0' has the label 'z', which is none of the classes"):
        model.evaluate(files, ["z", "b", "c"])
    with pytest.raises(ValueError, match="no slide to evaluate"):
        model.evaluate([], [])
    with pytest.raises(TypeError, match=r"takes no further arguments\. Received: steps"):
        model.predict(files, steps=1)


def test_attention_and_inspection_of_a_path(build, cohort):
    model, slide = build(), cohort / "slides" / "s0.tif"
    attention = np.asarray(model.attend(slide))
    assert attention.sum() == pytest.approx(1, abs=1e-5)
    looked = model.inspect(str(slide))
    np.testing.assert_allclose(looked.attention, attention, atol=1e-7)
    assert len(repr(looked)) < 600
    assert "patches=(1, 6, 32, 32, 3) uint8" in repr(looked)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tif"):
        model.attend("nowhere.tif")


def test_a_look_is_plotted(build, cohort, tmp_path):
    looked = build().inspect(cohort / "slides" / "s0.tif")
    figure = looked.plot()
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 3 + int(looked.valid.sum())  # the overview, a map per magnification, and every patch
    np.testing.assert_array_equal(drawn[0].images[0].get_array(), looked.overview[0])
    figure.savefig(tmp_path / "looked.png")
    with pytest.raises(IndexError, match="1 slide"):
        looked.plot(1)


def test_draws_and_runs_say_what_they_hold(build):
    from ats_mag.sampling.draws import sample

    assert repr(sample(np.full((1, 30, 30, 2), 1 / 1800, "float32"), 40)) == (
        "Samples(index=(1, 40, 3) int32, attention=(1, 40) float32, weight=(1, 40) float32, threshold=None)"
    )
