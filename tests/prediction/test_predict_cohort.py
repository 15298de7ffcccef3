"""Predicting a cohort: what is kept, what fails, and what a new call makes of it."""

import os

import pandas as pd
import pytest
from stub_predictor import StubPredictor, write_slides

from ats_mag.prediction import CohortSlide, find_slides, predict_cohort


def statuses(done):
    return [one.status for one in done]


def test_rows_come_as_slides_are_done_and_are_kept(stub, tmp_path):
    slides = find_slides(write_slides(tmp_path / "slides", 4))
    out = tmp_path / "deep" / "p.csv"
    done = predict_cohort(stub, slides, out)
    for count in (1, 2):
        assert next(done).status == "predicted"
        assert len(pd.read_csv(out)) == count
    done.close()
    assert statuses(predict_cohort(stub, slides, out)) == ["kept", "kept", "predicted", "predicted"]
    table = pd.read_csv(out, float_precision="round_trip")
    assert table["path"].tolist() == [slide.path for slide in slides]
    assert table["slide_id"].tolist() == ["s000", "s001", "s002", "s003"]
    assert table["p_a"].tolist() == [1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert StubPredictor.opened == 1
    assert sorted(path.name for path in out.parent.iterdir()) == ["p.csv", "p.csv.model.json"]


def test_a_bad_slide_costs_itself_only_and_is_tried_again(stub, tmp_path):
    files = write_slides(tmp_path / "slides", 3, bad=[1])
    out, failed = tmp_path / "p.csv", tmp_path / "p.csv.failed.csv"
    done = list(predict_cohort(stub, find_slides(files), out))
    assert statuses(done) == ["predicted", "failed", "predicted"]
    assert done[1].error == f"slide {str(files[1])!r} is bad"
    assert pd.read_csv(failed).to_dict("records") == [
        {"path": str(files[1]), "slide_id": "s001", "error": done[1].error}
    ]
    assert len(pd.read_csv(out)) == 2
    assert statuses(predict_cohort(stub, find_slides(files[:1]), out)) == ["kept"]
    assert len(pd.read_csv(failed)) == 1
    files[1].write_text("0.5")
    assert statuses(predict_cohort(stub, find_slides(files), out)) == ["kept", "kept", "predicted"]
    assert not failed.exists()
    assert sorted(pd.read_csv(out)["path"]) == [str(file) for file in files]


def test_another_model_another_way_of_asking_or_another_resolution_is_refused(stub, tmp_path):
    files = write_slides(tmp_path / "slides", 2)
    out = tmp_path / "p.csv"
    list(predict_cohort(stub, find_slides(files[:1]), out))
    before = out.read_bytes()
    with pytest.raises(ValueError, match="another way of asking"):
        list(predict_cohort(stub, find_slides(files), out, adaptive=0.95))
    with pytest.raises(ValueError, match=r"file's own um/px of level 0, not with 0\.25"):
        list(predict_cohort(stub, find_slides(files, mpp=0.25), out))
    other = tmp_path / "moved.keras"
    stub.rename(other)
    assert statuses(predict_cohort(other, find_slides(files[:1]), out)) == ["kept"]
    other.write_text("two")
    with pytest.raises(ValueError, match="another model"):
        list(predict_cohort(other, find_slides(files), out))
    assert out.read_bytes() == before
    list(predict_cohort(other, find_slides(files), tmp_path / "q.csv", adaptive=None))
    assert len(pd.read_csv(tmp_path / "q.csv")) == 2


def test_what_cannot_begin_leaves_no_file(stub, tmp_path):
    slides = find_slides(write_slides(tmp_path / "slides", 1))
    bad = tmp_path / "bad.keras"
    bad.write_text("none")
    with pytest.raises(ValueError, match="no model"):
        list(predict_cohort(bad, slides, tmp_path / "p.csv"))
    with pytest.raises(FileNotFoundError, match=r"gone\.keras"):
        predict_cohort(tmp_path / "gone.keras", slides, tmp_path / "p.csv")
    assert not list(tmp_path.glob("p.*"))


def test_without_a_file_nothing_is_kept(stub, tmp_path):
    slides = find_slides(write_slides(tmp_path / "slides", 2, bad=[0]))
    done = list(predict_cohort(stub, slides))
    assert statuses(done) == ["failed", "predicted"]
    assert done[1].columns == {"p_a": 1 / 3, "p_b": 1 - 1 / 3}


def test_a_slide_that_was_replaced_is_told_and_one_that_was_touched_is_kept(stub, tmp_path):
    files = write_slides(tmp_path / "slides", 2)
    out = tmp_path / "p.csv"
    list(predict_cohort(stub, find_slides(files), out))
    before = out.read_bytes()
    os.utime(files[0], ns=(1, 1))
    assert statuses(predict_cohort(stub, find_slides(files), out)) == ["kept", "kept"]
    stat = files[1].stat()
    files[1].write_text(files[1].read_text()[::-1])  # of the same size, and as old
    os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ValueError, match=r"row of slide '.*s001\.tif', whose file has been replaced since"):
        list(predict_cohort(stub, find_slides(files), out))
    files[1].unlink()  # the disk that it lies on may be away
    assert statuses(predict_cohort(stub, [CohortSlide(str(files[1]), "s001")], out)) == ["kept"]
    assert out.read_bytes() == before


def test_a_table_without_the_slides_contents_goes_on_as_it_is(stub, tmp_path):
    """As earlier releases wrote them."""
    files = write_slides(tmp_path / "slides", 2)
    out = tmp_path / "p.csv"
    list(predict_cohort(stub, find_slides(files[:1]), out))
    table = pd.read_csv(out, dtype=str, keep_default_na=False).drop(columns="slide_sha256")
    table.to_csv(out, index=False)
    assert statuses(predict_cohort(stub, find_slides(files), out)) == ["kept", "predicted"]
    assert list(pd.read_csv(out)) == list(table)
