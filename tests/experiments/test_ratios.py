"""Both ways from a slide's file to its probabilities, on a small slide."""

import numpy as np
import pytest

pytestmark = pytest.mark.needs_tensorflow
SIDE = 1024  # pixels


@pytest.fixture(scope="module")
def ratios():
    from experiments.ratios import inference

    return inference


@pytest.mark.long
def test_all_patches_in_chunks_are_the_whole_bag(ratios, tmp_path, monkeypatch):
    import tensorflow as tf

    from experiments.common.gated_attention import read_bags

    monkeypatch.setattr(ratios, "CHUNK", 4)
    slide = ratios.write_giant(tmp_path / "slide.tiff", SIDE)
    ways = ratios.Inference(ratios.Settings())
    bag = next(read_bags(ways.model, tf.data.Dataset.from_tensors(ways.inputs(slide))))
    assert len(bag.patches) > 2 * ratios.CHUNK
    whole, _ = ways.every(bag.patches, np.zeros(len(bag.patches), np.int32), n_slides=1)
    np.testing.assert_allclose(ways.all_patches(slide), np.asarray(whole)[0], rtol=1e-4)
    assert ways.joint(slide).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.long
def test_what_takes_too_long_is_left_out(ratios, tmp_path):
    small, large = ratios.inference(ratios.Settings(), tmp_path, (SIDE // 2, SIDE), turns=1, patience=0)
    assert small["all_patches_times_joint"] == pytest.approx(
        small["seconds"]["all patches"]["median"] / small["seconds"]["joint"]["median"]
    )
    assert small["patches"] == {"joint": 15, "all patches": 3 * small["cells"]}
    assert set(large["seconds"]) == {"joint"}
    assert "all_patches_times_joint" not in large
    assert not list(tmp_path.iterdir())
