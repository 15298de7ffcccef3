"""A small cohort with a model that is not trained, to be predicted and measured."""

import keras
import numpy as np
import pandas as pd
import pytest

CLASSES = ["a", "b"]
SLIDES = 8  # of five patients, in two folds


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Slides, their records, and a model that looks somewhere."""
    from skimage import data

    from ats_mag.cohort.manifest import read_manifest
    from ats_mag.model.built_in_networks import attention_network, feature_network
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.preparation import prepare
    from ats_mag.slides.writing.pyramid import write_pyramid

    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "slides").mkdir()
    stained = data.immunohistochemistry()
    rows = []
    for i in range(SLIDES):
        piece = np.rot90(stained[: 512 - 64 * (i % 2)], i)
        image = np.pad(piece, ((32, 32), (32, 32), (0, 0)), constant_values=245)
        write_pyramid(folder / "slides" / f"s{i}.tif", image, 0.5, (1, 4))
        rows.append((f"s{i}", f"p{i * 5 // 8}", f"s{i}.tif", CLASSES[i * 5 // 8 % 2]))
    pd.DataFrame(rows, columns=["slide_id", "patient_id", "path", "label"]).to_csv(folder / "manifest.csv", index=False)
    manifest = read_manifest(folder / "manifest.csv")
    done = prepare(manifest, folder / "slides", folder / "records", overview_mpp=8.0, workers=1)
    assert all(one.error is None for one in done)
    keras.utils.set_random_seed(3)
    model = SlideClassifier(
        CLASSES,
        patch_size=32,
        n_patches=4,
        attention=attention_network(2, 4, (8, 8)),
        feature=feature_network(32, 8, (8, 8)),
        explore_steps=0,
        seed=1,
    )
    logits = model.attention.get_layer("logits")
    logits.kernel.assign(np.random.default_rng(3).normal(size=logits.kernel.shape))  # not the uniform start
    model.save(folder / "model.keras")
    return folder
