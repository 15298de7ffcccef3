"""A run that an earlier release began: what is complete is used, what was interrupted is refused with the mend."""

import shutil
import tarfile
from pathlib import Path

import keras
import pytest
from former.make import small_networks

from ats_mag.config.reading import read_config
from ats_mag.runs.run import Run
from ats_mag.training.fit import train_fold

pytestmark = [
    pytest.mark.needs_tensorflow,
    pytest.mark.filterwarnings("ignore:fold 0. the validation part has slides of one class only"),
    pytest.mark.filterwarnings("ignore:Gradients do not exist"),
]


@pytest.fixture(scope="module")
def former(tmp_path_factory):
    folder = tmp_path_factory.mktemp("former")
    with tarfile.open(Path(__file__).with_name("before-rooms.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_the_interrupted_training_is_refused_until_its_folder_is_removed(former, tmp_path, monkeypatch):
    shutil.copytree(former, tmp_path / "study")
    run = Run.open(read_config(tmp_path / "study" / "interrupted.yaml"))
    fold = run.layout.fold(0)
    before = {path.name: path.read_bytes() for path in fold.checkpoints.iterdir()}
    with (
        small_networks(),
        pytest.raises(
            ValueError, match=r"000001-00000001\.npz' was written by an earlier release .* finish .*, or remove '"
        ),
    ):
        train_fold(run, 0)
    assert {path.name: path.read_bytes() for path in fold.checkpoints.iterdir()} == before
    shutil.rmtree(fold.folder)
    begun = []
    monkeypatch.setattr(keras.Model, "fit", lambda model, *_, **options: begun.append(options["initial_epoch"]))
    with small_networks():
        train_fold(run, 0)
    assert begun == [0]
    assert fold.is_trained
