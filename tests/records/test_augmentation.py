"""Overview, mask and patches of a training slide turn and change colour together."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_run import CLASSES, OVERVIEW_MPP, prepared  # noqa: F401

from ats_mag.config.schema import AugmentConfig
from ats_mag.model.built_in_networks import attention_network, feature_network
from ats_mag.model.classifier import SlideClassifier
from ats_mag.records.augmentation import TURNS, original_cells, recolour, turn_patches
from ats_mag.records.dataset import dataset
from ats_mag.records.random_changes import turned
from ats_mag.records.record import find_records

STRIDE = 4


def turned_array(array, turn):
    """A plain statement of what the eight turns are."""
    array = array.swapaxes(0, 1) if turn & 1 else array
    array = array[::-1] if turn & 2 else array
    return array[:, ::-1] if turn & 4 else array


def test_the_eight_turns_are_the_symmetries_of_a_square():
    square = np.arange(9).reshape(3, 3, 1)
    found = {np.asarray(turned(tf.constant(square), turn)).tobytes() for turn in range(TURNS)}
    expected = {np.rot90(s, k).tobytes() for s in (square, square[:, ::-1]) for k in range(4)}
    assert found == expected
    for turn in range(TURNS):
        np.testing.assert_array_equal(turned(tf.constant(square), turn), turned_array(square, turn))


@pytest.mark.parametrize("snap", [True, False])
def test_patches_of_a_turned_slide_are_the_turned_patches_of_the_slide(prepared, snap):  # noqa: F811
    """Every cell, all turns, in a batch of slides of different sizes that is padded."""
    model = SlideClassifier(
        CLASSES, ("20x", "5x"), 32, 4, OVERVIEW_MPP, attention=attention_network(2, STRIDE, (8, 8)),
        feature=feature_network(32, 8, (8,)), snap=snap,
    )  # fmt: skip
    records = find_records(prepared / "records")[:2]
    plain = next(iter(dataset(records, prepared / "slides", None, 2, multiple=STRIDE)))
    sizes = [next(iter(dataset([r], prepared / "slides", None, 1, multiple=STRIDE)))["mask"].shape[1:] for r in records]
    assert sizes[0] != sizes[1]
    for turn in range(TURNS):
        views, turns = [], []
        for b, (height, width) in enumerate(sizes):
            view = {name: np.asarray(plain[name][b, :height, :width]) for name in ("overview", "mask")}
            view = {name: np.asarray(turned(tf.constant(image), turn)) for name, image in view.items()}
            turns.append([turn, *view["mask"].shape])
            views.append(view)
        side = [max(t[axis] for t in turns) + STRIDE for axis in (1, 2)]
        inputs = {"path": plain["path"], "geometry": plain["geometry"], "turn": np.array(turns)}
        for name, value in (("overview", 255), ("mask", 0)):
            pads = [[(0, side[k] - v[name].shape[k]) for k in (0, 1)] + [(0, 0)] * (v[name].ndim - 2) for v in views]
            inputs[name] = np.stack(
                [np.pad(v[name], pad, constant_values=value) for v, pad in zip(views, pads, strict=True)]
            )
        cells = np.asarray(model.cells(inputs["mask"]))
        for b in range(2):
            one = {name: tf.constant(value[b : b + 1]) for name, value in inputs.items()}
            still = {name: plain[name][b : b + 1] for name in plain}
            index = np.argwhere(np.repeat(cells[b][..., None], 2, axis=-1))[None]
            assert index.shape[1] > 20
            there = np.asarray(original_cells(index, one["turn"], STRIDE))
            for (row, column, _), (r, c, _) in zip(index[0], there[0], strict=True):
                block = turned_array(np.asarray(still["overview"])[0, r * 4 : r * 4 + 4, c * 4 : c * 4 + 4], turn)
                np.testing.assert_array_equal(
                    inputs["overview"][b, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4], block
                )
            expected, valid = model.read(still, tf.constant(there))
            found, _ = model.read(one, tf.constant(index))
            assert np.asarray(valid).all()
            for patch, original in zip(np.asarray(found)[0], np.asarray(expected)[0], strict=True):
                np.testing.assert_array_equal(patch, turned_array(original, turn))
            for of_turned, of_still in zip(
                model.place(one, tf.constant(index)), model.place(still, tf.constant(there)), strict=True
            ):
                np.testing.assert_array_equal(of_turned, of_still)


def test_patches_of_each_slide_turn_by_its_own_turn():
    patches = np.random.default_rng(0).integers(0, 255, (8, 2, 4, 4, 3), np.uint8)
    turns = np.stack([np.arange(8), np.full(8, 16), np.full(8, 16)], axis=1)
    found = np.asarray(turn_patches(keras.ops.convert_to_tensor(patches), turns))
    for turn in range(TURNS):
        np.testing.assert_array_equal(found[turn, 1], turned_array(patches[turn, 1], turn))


def test_stains_are_scaled_as_scikit_image_separates_them():
    from skimage.color import hed2rgb

    stains = np.random.default_rng(0).uniform(0, 0.25, (1, 40, 3))
    image = np.round(hed2rgb(stains) * 255).astype(np.uint8)
    factors = np.array([[1.2, 0.8, 1.1, 1.0, 1.0]], "float32")
    expected = np.round(hed2rgb(stains * factors[:, None, :3]) * 255)
    found = np.asarray(recolour(image, factors)).astype(int)
    assert np.abs(found - expected).max() <= 2  # both images are rounded


def test_white_stays_white_and_ones_change_nothing():
    image = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    np.testing.assert_array_equal(recolour(image, np.ones((2, 5))), image)
    white = np.full((1, 2, 2, 3), 255, np.uint8)
    for colour in ([1.5, 0.5, 1.2, 0.7, 1.3], [0.5, 1.5, 0.8, 1.4, 0.6]):
        np.testing.assert_array_equal(recolour(white, np.array([colour])), white)
    grey = np.full((1, 1, 3), 128, np.uint8)
    gamma = np.log(0.6) / np.log(0.5)
    assert abs(int(recolour(grey, np.array([[1, 1, 1, gamma, 1]]))[0, 0, 0]) - 0.6 * 255) < 2


def test_overview_and_patches_of_a_slide_get_the_same_colour(prepared):  # noqa: F811
    records = find_records(prepared / "records")
    augment = AugmentConfig(flips=True, stain=0.3, brightness=0.1, contrast=0.2)
    data = dataset(records, prepared / "slides", CLASSES, len(records), shuffle=True, seed=1, augment=augment)
    first, again = (next(iter(data))[0] for _ in range(2))
    assert {"turn", "colour"} <= set(first)
    assert len(set(np.asarray(first["turn"])[:, 0])) > 2
    assert (np.asarray(first["colour"]) != np.asarray(again["colour"])).any()
    colour = np.asarray(first["colour"])
    assert (np.abs(colour[:, :3] - 1) <= 0.3).all()
    assert (np.abs(0.5 ** colour[:, 3] - 0.5) <= 0.1 + 1e-6).all()
    seen = []
    attention = attention_network(2, STRIDE, (8, 8))
    model = SlideClassifier(
        CLASSES, ("20x", "5x"), 32, 4, OVERVIEW_MPP, attention=attention, feature=feature_network(32, 8, (8,))
    )
    original = attention.call
    attention.call = lambda x, **options: (seen.append(np.asarray(x)), original(x, **options))[1]
    looked = model.inspect(first)
    np.testing.assert_array_equal(seen[0], np.asarray(recolour(first["overview"], colour)))
    plain = {name: value for name, value in first.items() if name != "colour"}
    patches, _ = model.read(plain, tf.constant(looked.index))
    np.testing.assert_array_equal(looked.patches, np.asarray(recolour(patches, colour)))
    assert set(next(iter(dataset(records, prepared / "slides", None, 2)))) == {
        "overview",
        "mask",
        "path",
        "geometry",
        "overview_mpp",
    }
