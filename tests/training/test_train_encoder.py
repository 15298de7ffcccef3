"""Training with a pretrained encoder that a configuration names."""

import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from made_run import prepared, write_config  # noqa: F401
from model.encoders.parity import VECTORS

from ats_mag.config.reading import read_config
from ats_mag.config.schema import ModelConfig
from ats_mag.evaluation.evaluate import evaluate_fold
from ats_mag.evaluation.scored_table import UndefinedMeasureWarning
from ats_mag.model.encoders import adapted_encoder
from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
from ats_mag.model.saving import load_model
from ats_mag.runs.run import Run
from ats_mag.training.build import feature_network_of
from ats_mag.training.fit import train_fold

pytestmark = pytest.mark.needs_tensorflow

GATED = VECTORS / "timm-registers-embedded-p14"


def test_the_configuration_says_what_the_feature_network_is():
    def made(**keys):
        return feature_network_of(ModelConfig(**{"encoder": str(GATED), "pool": "cls", "patch_size": 42, **keys}))

    found = made(trainable="last-1-block", adapter=16, encoder_size=56, encoder_dtype="mixed_bfloat16")
    assert (found.patch_size, found.encoder_size, found.trainable_encoder) == (42, 56, "last-1-block")
    assert found.compute_output_shape((1, 42, 42, 3)) == (1, 16)
    assert found.encoder.network.dtype_policy.name == "mixed_bfloat16"
    assert made(adapter=None).adapter is None
    assert made().frozen
    assert not isinstance(made(encoder="small"), AdaptedEncoder)
    random = made(encoder="keras:MobileNetV2@random", patch_size=32, trainable=True, adapter=None, pool=None)
    assert isinstance(random, keras.Model)
    assert not isinstance(random, AdaptedEncoder)
    with pytest.raises(ValueError, match=r"model.encoder: patch_size must .* or set model.encoder_size"):
        made(patch_size=43)


def test_small_weights_of_a_file(tmp_path):
    small = feature_network_of(ModelConfig(encoder="small", patch_size=32))
    small.save_weights(tmp_path / "f.weights.h5")
    again = feature_network_of(ModelConfig(encoder=f"small@{tmp_path / 'f.weights.h5'}", patch_size=32))
    for a, b in zip(small.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_default_takes_patches_of_any_size():
    found = feature_network_of(ModelConfig(patch_size=56))
    assert found.encoder.origin["name"] == "efficientnet-lite0"
    assert found.encoder_size == 64


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:fold 0. the validation part has slides of one class only")
def test_a_run_keeps_features_and_names_frozen_weights(prepared, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(adapted_encoder, "LARGE", 0)
    folder = shutil.copytree(GATED, tmp_path / "mine")
    model = {"encoder": str(folder), "pool": "cls", "patch_size": 32, "encoder_size": 42}
    file = write_config(prepared, tmp_path / "kept", model, feature_cache_file_gb=0.001)
    run = Run.open(read_config(file))
    trained = train_fold(run, 0)
    assert trained.feature_cache is None
    history = pd.read_csv(run.layout.fold(0).history)
    assert history["cache_hits"][0] < history["cache_hits"][1] < 1
    assert (history["cache_saved"] >= 0).all()
    assert 0 < run.layout.features.stat().st_size <= 10**6

    checkpoint = max(run.layout.fold(0).checkpoints.glob("*.npz"))
    with np.load(checkpoint) as stored:
        names = [name for name in stored.files if name.startswith("model/feature/")]
    assert names
    assert not [name for name in names if "transformer" in name]
    loaded = load_model(run.layout.fold(0).model)
    assert loaded.feature.apart
    for a, b in zip(trained.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

    weights = next(folder.glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    run.layout.fold(0).model.unlink()  # as if the training had been interrupted
    with pytest.raises(ValueError, match="was written with the encoder of other files"):
        train_fold(run, 0)
    weights.write_bytes(content)
    train_fold(run, 0)
    with pytest.warns(UndefinedMeasureWarning):
        evaluate_fold(run, 0)
