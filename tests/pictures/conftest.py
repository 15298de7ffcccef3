"""A made slide and what an untrained model looks at on it."""

import dataclasses

import keras
import numpy as np
import pytest
from made_inspected import make_model

if keras.backend.backend() != "tensorflow":
    collect_ignore_glob = ["test_*.py"]

SIDE = 1536  # pixels of 0.5 um


@pytest.fixture(scope="session")
def slide(tmp_path_factory):
    """Noise on a stained disk, so that no two places look alike; losslessly compressed."""
    from ats_mag.slides.writing.pyramid import write_pyramid

    rng = np.random.default_rng(0)
    image = np.full((SIDE, SIDE - 200, 3), 243, np.uint8)
    y, x = np.mgrid[:SIDE, : SIDE - 200]
    disk = np.hypot(y - 700, x - 650) < 560
    image[disk] = rng.integers((120, 40, 110), (220, 140, 210), (int(disk.sum()), 3))
    path = tmp_path_factory.mktemp("slide") / "Größe 1.tif"
    write_pyramid(path, image, 0.5, (1, 4))
    return path


@pytest.fixture(scope="session")
def model():
    return make_model()


@pytest.fixture(scope="session")
def inspected(model, slide):
    """The slide as it is."""
    from ats_mag.pictures.inspected_slide import inspect_slide

    return inspect_slide(model, slide)


@pytest.fixture(scope="session")
def bounded(model, slide):
    """The slide as if its file stated bounds, as MRXS files do: the overview is of a part of it."""
    from ats_mag.model.slide_inputs import slide_inputs
    from ats_mag.pictures.inspected_slide import inspect_slide

    whole = inspect_slide(model, slide)
    inputs = slide_inputs([str(slide)], 8.0, model.lattice.stride)
    x, y = 192, 256  # 12 and 16 pixels of the overview
    inputs["geometry"] = np.array([[x, y, 1024, 1024, inputs["geometry"][0, 4]]])
    for name in ("overview", "mask"):
        inputs[name] = inputs[name][:, 16 : 16 + 64, 12 : 12 + 64]
    seen = model.inspect(inputs)
    names = ("attention", "index", "location", "downsample", "weight", "patches", "contribution")
    return dataclasses.replace(
        whole,
        geometry=inputs["geometry"][0],
        overview=inputs["overview"][0],
        mask=inputs["mask"][0].astype(bool),
        **{name: getattr(seen, name)[0] for name in names},
    )
