"""Keys of earlier releases are read as what they meant."""

import pytest

from ats_mag.config.changes import changed_keys
from ats_mag.config.former_keys import current_keys, current_settings
from ats_mag.config.reading import ConfigError, read_config
from ats_mag.config.schema import ModelConfig, RunConfig

FORMER = (
    ({"feature": "small"}, {"encoder": "small"}),
    ({"feature_weights": "f.weights.h5"}, {"encoder": "small@f.weights.h5"}),
    ({"feature": "ResNet50"}, {"encoder": "keras:ResNet50@random", "trainable": True, "adapter": None}),
    (
        {"feature": "ResNet50", "feature_weights": "imagenet"},
        {"encoder": "keras:ResNet50", "trainable": True, "adapter": None},
    ),
    (
        {"feature": "ResNet50", "feature_weights": "w.h5"},
        {"encoder": "keras:ResNet50@w.h5", "trainable": True, "adapter": None},
    ),
)


@pytest.mark.parametrize(("before", "now"), FORMER)
def test_former_keys_are_read_with_a_note(before, now):
    with pytest.warns(UserWarning, match=f"write encoder: {now['encoder']}"):
        found = ModelConfig.model_validate({**before, "stride": 4})
    assert found == ModelConfig(**now, stride=4)


def test_both_kinds_of_keys_are_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("model: {feature: small, encoder: small}")
    with pytest.raises(ConfigError, match="`encoder` has taken the place of feature and feature_weights"):
        read_config(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("model: {trainable: last-0-blocks}")
    with pytest.raises(ConfigError, match=r"model.trainable: must be true, false or last-N-blocks"):
        read_config(tmp_path / "c.yaml")


def test_a_folder_is_found_beside_the_configuration(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "c.yaml").write_text("model: {encoder: mine}")
    assert read_config(tmp_path / "c.yaml").model.encoder == str(tmp_path / "mine")
    (tmp_path / "c.yaml").write_text("model: {encoder: uni}")
    assert read_config(tmp_path / "c.yaml").model.encoder == "uni"


@pytest.mark.parametrize(("before", "now"), [*FORMER, ({}, {"encoder": "small"})])
def test_stored_configurations_stay_comparable(before, now):
    stored = RunConfig().model_dump(mode="json")
    for key in ("encoder", "pool", "trainable", "adapter", "encoder_size", "encoder_dtype"):
        del stored["model"][key]
    del stored["train"]["hold_attention"]
    stored["train"]["schedule"] = "constant"  # which was the default
    stored["model"] |= before
    config = RunConfig(model=ModelConfig(**now)).model_dump(mode="json")
    assert changed_keys(current_keys(stored), config) == []
    other = RunConfig(model=ModelConfig(encoder="uni")).model_dump(mode="json")
    assert "model.encoder" in changed_keys(current_keys(stored), other)
    flat = {f"{section}.{key}": value for section in ("model", "train") for key, value in stored[section].items()}
    found = current_settings(flat | {"train.epochs": 3})
    assert found["train.epochs"] == 3
    assert "train.schedule" not in found
    assert current_settings({"train.schedule": "cosine"})["train.schedule"] == "cosine"
    assert {key: found[f"model.{key}"] for key in now} == now


def test_runs_of_an_earlier_release_keep_how_tissue_was_found():
    former = {**RunConfig().model_dump(mode="json")}
    del former["prepare"]["tissue"]
    now = RunConfig.model_validate({"prepare": {"tissue": {"method": "otsu"}}}).model_dump(mode="json")
    assert changed_keys(current_keys(former), now) == []
    now["prepare"]["tissue"]["method"] = "bounded"
    assert changed_keys(current_keys(former), now) == ["prepare.tissue.method"]
    now["prepare"]["tissue"] |= {"method": "otsu", "least_share": 0.2}  # of what is said only
    assert changed_keys(current_keys(former), now) == []


@pytest.mark.parametrize(
    ("begun", "method"), [(None, "bounded"), ({}, "otsu"), ({"tissue": {"method": "whole"}}, "whole")]
)
def test_what_a_configuration_leaves_open_is_as_the_run_was_begun(begun, method):
    from ats_mag.runs.comparability import settled

    about = None if begun is None else {"config": {"prepare": begun, "model": {"encoder": "small"}}}
    assert settled(RunConfig(), about).prepare.tissue.method == method
    asked = RunConfig.model_validate({"prepare": {"tissue": {"method": "bounded"}}})
    assert settled(asked, about).prepare.tissue.method == "bounded"
