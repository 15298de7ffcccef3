"""The table of published encoders, the folders that they are found in, and the command that lists them."""

import shutil

import numpy as np
import pytest
from model.encoders.made_weights import made_patches
from model.encoders.parity import VECTORS
from typer.testing import CliRunner

import ats_mag
from ats_mag.cli import app
from ats_mag.model.encoders.presets import find_folder, preset_named, preset_of_folder, presets
from ats_mag.model.encoders.token_pool import POOLS


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder in which encoders are looked for, the only one there is."""
    monkeypatch.setenv("ATS_MAG_ENCODERS", str(tmp_path / "shelf"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


def test_the_table_is_complete():
    assert len(presets()) == 23
    for preset in presets().values():
        assert preset.pool in POOLS
        assert len(preset.mean) == len(preset.std) == 3
        assert all(0 < number < 1 for number in (*preset.mean, *preset.std))
        assert preset.mpp
        assert preset.licence
        assert preset_named(preset.page) is preset_named(preset.page.rpartition("/")[2]) is preset


def test_a_preset_is_found_by_its_name_and_by_its_page(shelf):
    assert find_folder(presets()["uni2-h"]) is None
    (shelf / "uni2-h").mkdir()  # empty: not yet there
    assert find_folder(presets()["uni2-h"]) is None
    shutil.copytree(VECTORS / "timm-registers-p14", shelf / "UNI2-h", dirs_exist_ok=True)
    assert find_folder(presets()["uni2-h"]) == shelf / "UNI2-h"
    snapshot = shelf / "models--MahmoodLab--UNI2-h" / "snapshots" / "0af6"
    assert preset_of_folder(snapshot) is presets()["uni2-h"]
    assert preset_of_folder(shelf / "mine") is None


def test_a_preset_pools_and_standardises_as_its_makers_do(shelf):
    shutil.copytree(VECTORS / "timm-plain-p16", shelf / "h0-mini")
    encoder = ats_mag.encoder("H0-mini", 32)
    assert encoder.output_shape == (None, 32)  # class token and mean
    assert encoder.mean == presets()["h0-mini"].mean
    assert encoder.origin["licence"] == "CC-BY-NC-ND-4.0"
    assert encoder.origin["files"] == [str(shelf / "h0-mini" / "model.safetensors")]
    patches = made_patches(2, 32)
    np.testing.assert_array_equal(encoder(patches), ats_mag.encoder(shelf / "h0-mini", 32)(patches))


def test_the_command_lists_them(shelf):
    shutil.copytree(VECTORS / "timm-plain-p16", shelf / "phikon-v2")
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["encoders"])
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.output.splitlines() if line.strip()}
    assert "yes, installed" in lines["efficientnet-lite0"]
    assert str(shelf / "phikon-v2") in lines["phikon-v2"]
    assert "no, gated" in done.output
    assert "ATS_MAG_ENCODERS" in done.output
    assert "uni: https://huggingface.co/MahmoodLab/UNI (log in and agree to its terms first)" in done.output
    assert "phikon-v2: https" not in done.output
