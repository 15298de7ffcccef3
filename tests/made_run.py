"""A run on a small made cohort, ready to be trained: slides, manifest, records, configuration."""

import functools

import numpy as np
import pandas as pd
import pytest
import yaml

CLASSES = ("pale", "striped")
OVERVIEW_MPP = 16.0


def write_slides(folder, count=10, rare=None, sizes=((640, 512), (512, 768), (512, 768))):
    """`count` slides of two classes that a few epochs tell apart, and `manifest.csv` with a split."""
    from ats_mag.slides.writing.pyramid import write_pyramid

    (folder / "slides").mkdir(parents=True)
    rows = []
    for i in range(count):
        random = np.random.default_rng(i)
        height, width = sizes[i % len(sizes)]
        image = np.full((height, width, 3), 245, np.uint8)
        label = CLASSES[i % 2] if rare is None else CLASSES[int(i in rare)]
        tissue = random.integers(150, 200, (height - 96, width - 160, 3))
        tissue[..., 1] -= 80
        if label == "striped":
            tissue[::8] //= 2
        image[32 : height - 64, 64 : width - 96] = tissue
        write_pyramid(folder / "slides" / f"s{i}.tif", image, 0.5, (1, 4, 16))
        split = "train" if i < count - 3 else "validation" if i < count - 1 else "test"
        rows.append((f"s{i}", f"p{i}", f"s{i}.tif", label, split))
    table = pd.DataFrame(rows, columns=["slide_id", "patient_id", "path", "label", "split"])
    table.to_csv(folder / "manifest.csv", index=False)


def prepare_slides(folder):
    """Their records, in `records`."""
    from ats_mag.cohort.manifest import read_manifest
    from ats_mag.preparation import prepare

    done = list(prepare(read_manifest(folder / "manifest.csv"), folder / "slides", folder / "records", OVERVIEW_MPP, 1))
    assert [p.error for p in done] == [None] * len(done)


def write_config(folder, run, model=None, **train):
    """A configuration file of a run on the cohort in `folder`, with small models."""
    values = {
        "run": str(run),
        "data": {"slides": str(folder / "slides"), "manifest": str(folder / "manifest.csv")},
        "splits": {"kind": "manifest"},
        "prepare": {"records": str(folder / "records"), "overview_mpp": OVERVIEW_MPP},
        "model": {
            "encoder": "small",
            "patch_size": 32,
            "n_patches": 4,
            "stride": 4,
            "explore_steps": 0,
            **(model or {}),
        },
        "train": {"epochs": 2, "batch_size": 3, "deterministic": False, **train},
    }
    file = folder / f"{run.name}.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


@functools.cache
def _prepared_in(folder):
    write_slides(folder)
    prepare_slides(folder)
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder with a prepared cohort: 7 slides to train on, 2 to validate, 1 to test."""
    return _prepared_in(tmp_path_factory.getbasetemp() / "cohort of training")
