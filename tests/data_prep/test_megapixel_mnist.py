"""Megapixel MNIST, of made digits: what each image holds, and how a model is trained on them."""

import numpy as np
import pytest

from data_prep import megapixel_mnist
from experiments.megapixel.reference.images import Images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("megapixel")
    labels = np.arange(200) % 10
    # A digit's pixels all have the value 10 + its class, so that an image says of which digits it is made.
    digits = np.broadcast_to((10 + labels)[:, None, None], (200, 28, 28)).astype(np.uint8)
    np.savez(out / "mnist.npz", x_train=digits, y_train=labels, x_test=digits, y_test=labels)
    megapixel_mnist.main(out / "mnist.npz", out, train=12, test=6, side=200, scale=0.2, noise=True, seed=0)
    return out


def test_three_digits_of_the_class_and_two_of_others(folder):
    images = Images(folder / "train.npz")
    (low, high), y = images.batch(np.arange(12))
    assert low.shape == (12, 40, 40, 1)
    assert high.shape == (12, 200, 200, 1)
    for image, one_hot, corners in zip(high, y, images.digits, strict=True):
        shown = [{int(v) for v in np.unique(np.round(255 * image[r : r + 28, c : c + 28]))} - {0} for r, c in corners]
        classes = [min(values) - 10 for values in shown]
        label = one_hot.argmax()
        assert all(len(values) == 1 for values in shown)  # no digit covers another, no scribble a digit
        assert classes.count(label) == 3
        assert len(classes) == 5
    assert (high > 0.7).any(axis=(1, 2, 3)).all()  # scribbles are brighter than these digits
    assert len({tuple(row) for row in images.digits.reshape(12, -1)}) == 12


def test_small_images_show_the_same_places(folder):
    images = Images(folder / "test.npz")
    (low, high), _ = images.batch(np.arange(6))
    cells = high.reshape(6, 40, 5, 40, 5).mean(axis=(2, 4))
    assert np.corrcoef(cells.ravel(), low.ravel())[0, 1] > 0.9


def test_attention_on_digits(folder):
    images = Images(folder / "test.npz")
    uniform = np.full((6, 40, 40), 1 / 1600)
    share = images.on_digits(uniform, np.arange(6))
    assert share == pytest.approx(5 * 28**2 / 200**2, rel=0.15)


def test_existing_files_stay(folder):
    before = (folder / "train.npz").read_bytes()
    options = {"test": 6, "side": 200, "scale": 0.2, "noise": True}
    megapixel_mnist.main(folder / "mnist.npz", folder, train=12, seed=0, **options)
    assert (folder / "train.npz").read_bytes() == before
    with pytest.raises(ValueError, match=r"train.npz' holds images of other settings"):
        megapixel_mnist.main(folder / "mnist.npz", folder, train=12, seed=5, **options)
