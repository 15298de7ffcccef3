"""The same way on real slides of several vendors, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ats_mag.cohort.manifest import read_manifest
from ats_mag.prediction.predictor import Predictor
from ats_mag.preparation import prepare
from ats_mag.records.dataset import dataset

ROOT = Path(__file__).resolve().parents[2]
SLIDES = Path(os.environ.get("ATS_MAG_DATA", ROOT.parent / "shared" / "data")) / "slides"
CMU = SLIDES / "aperio" / "CMU-1-Small-Region.svs"
TCGA = SLIDES / "aperio" / "TCGA-CR-7395-01A-01-TS1.svs"

pytestmark = pytest.mark.skipif(not CMU.exists(), reason=f"no slides in {SLIDES}")

ROWS = [
    ("cmu", "aperio/CMU-1-Small-Region.svs", ""),
    ("tcga", "aperio/TCGA-CR-7395-01A-01-TS1.svs", "20x"),
    ("fluorescence", "hamamatsu/test3-DAPI-2-(387).ndpi", ""),
    ("boxes", "generic-tiff/boxes.tiff", "20x"),
    ("dicom", "dicom/boxes_0.dcm", "20x"),
    ("no-mpp", "{made}/no-mpp.svs", ""),
    ("damaged", "broken/unopenable.tiff", ""),
]


def test_prepare_and_fit(build, tmp_path):
    (tmp_path / "no-mpp.svs").symlink_to(TCGA.resolve())  # a slide has one row in a manifest
    table = pd.DataFrame(ROWS, columns=["slide_id", "path", "mpp"])
    table["path"] = table["path"].str.replace("{made}", str(tmp_path), regex=False)
    table = table.assign(patient_id=table["slide_id"], label=["a", "b", "c", "a", "b", "c", "a"])
    table.to_csv(tmp_path / "m.csv", index=False)
    manifest = read_manifest(tmp_path / "m.csv")
    done = {p.slide_id: p for p in prepare(manifest, SLIDES, tmp_path / "r", 16.0, 1, empty_mask="whole")}
    failed = {name: p.error for name, p in done.items() if p.error}
    assert set(failed) == {"no-mpp", "damaged"}
    assert "mpp" in failed["no-mpp"]
    assert "unopenable.tiff" in failed["damaged"]
    model = build(n_patches=2)
    history = model.fit(dataset(tmp_path / "r", SLIDES, ["a", "b", "c"], 5), epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.long
def test_the_savedmodel_predicts_by_path(build, tmp_path):
    folder, _ = build().export(tmp_path / "exported")
    predictor = Predictor(folder)
    for slide, mpp in ((CMU, None), (TCGA, 0.5)):
        found = predictor(slide, mpp)
        assert found.shape == (3,)
        assert found.sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match=r"TCGA.*mpp"):
        predictor(TCGA)
