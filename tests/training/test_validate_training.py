"""What `validate` says of a run is what the next commands ask."""

import pytest
import yaml
from made_run import prepared, write_config  # noqa: F401  a fixture

from ats_mag.config.reading import read_config
from ats_mag.training.validate import validate

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def check(prepared, tmp_path):  # noqa: F811
    """`check(model, **train)` -> the report on a run with these settings."""

    def asked(model=None, run=tmp_path / "run", edit=None, **train):
        file = write_config(prepared, run, model, **train)
        if edit is not None:
            values = yaml.safe_load(file.read_text())
            edit(values)
            file.write_text(yaml.safe_dump(values))
        return validate(read_config(file))

    return asked


def test_nothing_stops_a_sound_run_with_records(check):
    report = check(monitor="val_accuracy")
    assert report["stops"] == []
    assert report["classes"] == ["pale", "striped"]
    assert not any("ats-mag prepare" in text for text in report["warnings"])


@pytest.mark.parametrize(
    ("model", "train", "said"),
    [
        ({"encoder": "keras:ResNet51@random"}, {}, r"no model can be made: model\.encoder: .*no network 'ResNet51'"),
        ({"encoder": "small@/nope.weights.h5"}, {}, r"the file of weights '/nope\.weights\.h5' is not there"),
        ({"encoder": "uno"}, {}, r"there is no encoder 'uno'"),
        ({"n_patches": 1}, {}, r"`model\.n_patches` is 1, fewer than the 2 magnifications"),
        ({"n_patches": 3, "method": "priority"}, {}, r"`model\.method: priority` cannot learn .* raise `model\.n_patches` to 4"),
        ({}, {"monitor": "val_auc"}, r"train\.monitor must be one of loss, accuracy, .*Received: 'val_auc'"),
    ],
)  # fmt: skip
def test_what_training_would_refuse_is_said_before(check, model, train, said):
    import re

    stops = check(model, **train)["stops"]
    assert any(re.search(said, text) for text in stops), stops


def test_packages_and_rights_are_asked_for(check, monkeypatch, tmp_path):
    found = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name in ("tensorboard", "distributed") else found(name, *a)
    )
    (tmp_path / "file").write_text("no folder")
    report = check(
        run=tmp_path / "file" / "run",
        tensorboard=True,
        edit=lambda values: values["prepare"].update(scheduler="localhost:8786"),
    )
    assert any("pip install 'ats-mag[tensorboard]'" in text for text in report["stops"])
    assert any("pip install 'ats-mag[dask]'" in text for text in report["stops"])
    assert any(text.startswith("`run`: there is no right to write into") for text in report["stops"])


def test_records_that_are_otherwise_now_and_phases_without_end_are_warned_of(check):
    report = check({"explore_steps": 100}, edit=lambda values: values["prepare"].update(overview_mpp=8.0))
    assert any("run `ats-mag prepare`: the records of 10 slide(s)" in text for text in report["warnings"])
    assert any("all 6 steps of training would draw patches uniformly" in text for text in report["warnings"])


def test_settings_that_differ_from_those_of_a_trained_run(check, prepared, tmp_path):  # noqa: F811
    from ats_mag.runs.run import Run

    run = Run.open(read_config(write_config(prepared, tmp_path / "run")))
    run.layout.fold(0).folder.mkdir()
    run.layout.fold(0).model.write_text("trained")
    stops = check(epochs=7)["stops"]
    assert "train.epochs was 2 and is 7: undo this, or use another `run` folder" in stops[0]
