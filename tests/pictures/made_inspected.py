"""A model for pictures."""

import keras
import numpy as np


def make_model(classes=("a", "b", "c"), magnifications=(0.5, 1.0, 2.0), n_patches=12, **options):
    """Untrained, with an attention that is not uniform."""
    from ats_mag.model.built_in_networks import attention_network, feature_network
    from ats_mag.model.classifier import SlideClassifier

    keras.utils.set_random_seed(3)
    attention = attention_network(len(magnifications), 4, (8, 8))
    logits = attention.get_layer("logits")
    logits.kernel.assign(np.random.default_rng(3).normal(0, 4, logits.kernel.shape))
    return SlideClassifier(
        list(classes),
        magnifications,
        attention=attention,
        feature=feature_network(32, 16, (8, 16)),
        patch_size=32,
        n_patches=n_patches,
        overview_mpp=8.0,
        **options,
    )


def invent_inspected(
    width, height, magnifications=(0.5, 2.0), n=16, classes=("normal", "tumour"), patch=224, name="s.svs"
):
    """What a model saw on a slide that never was, of any size in overview pixels of 8 um, at 0.25 um/px."""
    from ats_mag.geometry.lattice import Lattice
    from ats_mag.geometry.slide_geometry import MPP_UNIT
    from ats_mag.pictures.inspected_slide import InspectedSlide

    rng = np.random.default_rng(width * 7 + height)
    lattice = Lattice(8.0, 8, tuple(magnifications), patch)
    rows, columns = -(-height // 8), -(-width // 8)
    y, x = np.mgrid[: rows * 8, : columns * 8]
    blob = ((y / height - 0.5) ** 2 + (x / width - 0.5) ** 2 + 0.02 * np.sin(x / 9) * np.cos(y / 7)) < 0.16
    overview = np.full((rows * 8, columns * 8, 3), 244, np.uint8)
    texture = rng.normal((205, 130, 180), 14, (int(blob.sum()), 3)) - 50 * (np.sin(x / 23 + y / 31)[blob, None] > 0.4)
    overview[blob] = np.clip(texture, 0, 255)
    cells = blob.reshape(rows, 8, columns, 8).mean((1, 3)) > 0.05
    logits = rng.normal(0, 1.3, (rows, columns, len(magnifications)))
    for m in range(len(magnifications)):
        r, c = rng.integers(rows), rng.integers(columns)
        near = np.hypot(np.arange(rows)[:, None] - r, np.arange(columns) - c)
        logits[..., m] += 4 * np.exp(-((near / 4) ** 2))
    attention = np.where(cells[..., None], np.exp(logits), 0)
    attention /= attention.sum()
    order = np.argsort(-attention.ravel())[:n]
    index = np.stack(np.unravel_index(order, attention.shape), axis=1)
    steps = round(0.25 / MPP_UNIT)
    geometry = np.array([300, 500, width * 32, height * 32, steps])
    location, downsample = (np.asarray(a)[0] for a in lattice.place(index[None], geometry[None]))
    drawn = attention.ravel()[order]
    probabilities = np.sort(rng.dirichlet(np.ones(len(classes))))[::-1]
    return InspectedSlide(
        slide=f"/slides/{name}",
        classes=list(classes),
        lattice=lattice,
        geometry=geometry,
        overview=overview,
        mask=blob,
        probabilities=probabilities,
        attention=attention.astype("float32"),
        index=index,
        location=location,
        downsample=downsample,
        weight=drawn / drawn.sum(),
        patches=rng.integers(90, 250, (len(order), 16, 16, 3)).astype("uint8").repeat(4, 1).repeat(4, 2),
        contribution=rng.normal(0, 0.2, (len(order), len(classes) if len(classes) > 2 else 1)),
    )
