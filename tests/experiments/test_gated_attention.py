"""Gated attention pooling over bags of different sizes, against the formula slide by slide."""

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.needs_tensorflow


def test_pooling_is_the_formula():
    from ats_mag.model.stain_free_network import stain_free_network
    from experiments.common.gated_attention import GatedAttention

    rng = np.random.default_rng(0)
    model = GatedAttention(3, stain_free_network(16))
    sizes = (2, 5, 1)
    slide = np.repeat(np.arange(3), sizes).astype(np.int32)
    patches = rng.integers(0, 256, (sum(sizes), 16, 16, 3)).astype(np.uint8)
    probabilities, attention = (np.asarray(x) for x in model(patches, slide, n_slides=3))
    features = np.asarray(model.feature(patches.astype("float32")))
    for number in range(3):
        mine = slide == number
        score = (
            np.asarray(model.tanh(features[mine])) * np.asarray(model.gate(features[mine]))
        ) @ model.score.kernel.numpy()
        weight = np.exp(score[:, 0]) / np.exp(score[:, 0]).sum()
        np.testing.assert_allclose(attention[mine], weight, rtol=1e-4)
        pooled = weight @ features[mine]
        np.testing.assert_allclose(probabilities[number], np.asarray(model.head(pooled[None]))[0], rtol=1e-4)


@pytest.mark.long
@pytest.mark.graphs
def test_a_step_lowers_the_loss():
    from ats_mag.model.stain_free_network import stain_free_network
    from experiments.common.gated_attention import Bag, GatedAttention, Trainer

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    bags = [Bag(rng.integers(0, 256, (n, 16, 16, 3)).astype(np.uint8), np.zeros((n, 3), np.int32)) for n in (3, 4)]
    trainer = Trainer(GatedAttention(2, stain_free_network(16)), keras.optimizers.Adam(1e-3), bags[0])
    losses = [trainer.step(bags, [0, 1]) for _ in range(8)]
    assert losses[-1] < losses[0]
    probabilities, attention = trainer.predict(bags[0])
    assert probabilities.shape == (2,)
    assert attention.sum() == pytest.approx(1, abs=1e-5)


def test_turns_are_the_symmetries_of_a_square():
    from experiments.common.gated_attention import Bag

    bag = Bag(np.arange(2 * 9 * 3).reshape(2, 3, 3, 3), np.zeros((2, 3), np.int32))
    turned = [bag.turned(turn).patches for turn in range(8)]
    assert len({patches.tobytes() for patches in turned}) == 8
    np.testing.assert_array_equal(turned[0], bag.patches)
    for patches in turned:  # the middle stays, the corners change places, and no patch gets pixels of another
        np.testing.assert_array_equal(patches[:, 1, 1], bag.patches[:, 1, 1])
        assert {tuple(c) for c in patches[1, ::2, ::2].reshape(-1, 3)} == {
            tuple(c) for c in bag.patches[1, ::2, ::2].reshape(-1, 3)
        }
