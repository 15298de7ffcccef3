"""A small cohort of made slides, its records, and small models on them."""

import numpy as np
import pandas as pd
import pytest

CLASSES = ["a", "b", "c"]
OVERVIEW_MPP = 16.0
SIZES = [(1024, 1024), (1024, 1536), (1536, 1024), (1280, 1280), (1024, 1024), (1536, 1536)]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """A folder with slides of several sizes at 0.5 um/px and `manifest.csv`."""
    from skimage import data

    from ats_mag.slides.writing.pyramid import write_pyramid

    folder = tmp_path_factory.mktemp("cohort")
    (folder / "slides").mkdir()
    stained = data.immunohistochemistry()
    rows = []
    for i, (height, width) in enumerate(SIZES):
        image = np.full((height, width, 3), 245, np.uint8)
        piece = np.rot90(np.concatenate([stained, stained[::-1]]), i)
        image[100 : 100 + min(piece.shape[0], height - 200), 100 : 100 + min(piece.shape[1], width - 200)] = piece[
            : height - 200, : width - 200
        ]
        write_pyramid(folder / "slides" / f"s{i}.tif", image, 0.5, (1, 4, 16))
        split = "train" if i < 4 else "test"
        rows.append((f"s{i}", f"p{i}", f"s{i}.tif", CLASSES[i % 3], split))
    table = pd.DataFrame(rows, columns=["slide_id", "patient_id", "path", "label", "split"])
    table.to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def records(cohort):
    """The cohort's records."""
    from ats_mag.cohort.manifest import read_manifest
    from ats_mag.preparation import prepare

    done = list(prepare(read_manifest(cohort / "manifest.csv"), cohort / "slides", cohort / "records", OVERVIEW_MPP, 1))
    assert [p.error for p in done] == [None] * len(SIZES)
    return cohort / "records"


@pytest.fixture(scope="session")
def batch(cohort, records):
    """All slides in one batch, of mixed sizes, with their labels."""
    from ats_mag.records.dataset import dataset

    inputs, labels = next(iter(dataset(records, cohort / "slides", CLASSES, len(SIZES))))
    return {name: value.numpy() for name, value in inputs.items()}, labels.numpy()


@pytest.fixture(scope="session")
def build():
    """`build(**options)` -> a small compiled classifier with fixed weights."""
    import keras

    from ats_mag.model.built_in_networks import attention_network, feature_network
    from ats_mag.model.classifier import SlideClassifier

    def make(classes=CLASSES, magnifications=("20x", "5x"), **options):
        keras.utils.set_random_seed(7)
        attention = attention_network(len(magnifications), 4, (8, 8))
        rng = np.random.default_rng(7)
        logits = attention.get_layer("logits")
        logits.kernel.assign(rng.normal(0, 0.5, logits.kernel.shape))  # not the uniform start
        settings = {
            "attention": attention,
            "feature": feature_network(32, 16, (8, 16)),
            "patch_size": 32,
            "n_patches": 6,
            "overview_mpp": OVERVIEW_MPP,
            "explore_steps": 0,
            "seed": 3,
            "overlap": 1,  # most of the time goes into tracing, once per part
        }
        compiling = {key: options.pop(key) for key in ("jit_compile", "run_eagerly") if key in options}
        model = SlideClassifier(classes, magnifications, **(settings | options))
        model.compile(keras.optimizers.SGD(0.1), **({"jit_compile": False} | compiling))
        return model

    return make


@pytest.fixture
def noisy(batch):
    """The batch with injected noise for stratified Gumbel draws, so that every run draws the same."""
    inputs, labels = batch
    cells = int(np.prod(inputs["mask"].shape[1:])) // 4**2 * 2
    noise = np.random.default_rng(0).uniform(size=(len(labels), cells)).astype("float32")
    return {**inputs, "noise": noise}, labels
