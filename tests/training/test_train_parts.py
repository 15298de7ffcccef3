"""The parts of a training run that need no model: orders, weights, checkpoints, the best epoch, learning rates."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from ats_mag.config.changes import is_free
from ats_mag.config.schema import ModelConfig, RunConfig, TrainConfig
from ats_mag.model.recipe import Recipe
from ats_mag.records.epoch_order import EpochOrder, balanced_weights
from ats_mag.training.best_epoch import BestEpoch
from ats_mag.training.build import recipe_of
from ats_mag.training.checkpoints import Checkpoints
from ats_mag.training.resumable import ResumableTraining
from ats_mag.training.settings import check_settings

LABELS = ["a"] * 7 + ["b"] * 2 + ["c"]


def test_a_natural_epoch_has_every_slide_once_in_an_order_of_its_own():
    order = EpochOrder(LABELS, seed=3)
    epochs = [order.slides(epoch) for epoch in range(4)]
    for found in epochs:
        assert sorted(found) == list(range(10))
    assert len({tuple(found) for found in epochs}) == 4
    np.testing.assert_array_equal(EpochOrder(LABELS, 3).slides(2), epochs[2])
    assert (EpochOrder(LABELS, 4).slides(2) != epochs[2]).any()


def test_a_balanced_epoch_has_every_class_equally_often_and_no_slide_too_often():
    order = EpochOrder(LABELS, 0, "balanced")
    for epoch in range(5):
        found = order.slides(epoch)
        assert len(found) == 10
        counts = np.unique(np.array(LABELS)[found], return_counts=True)[1]
        assert sorted(counts) == [3, 3, 4]
        times = np.bincount(found, minlength=10)
        assert times[:7].max() == 1
        assert np.ptp(times[7:9]) <= 1
        np.testing.assert_array_equal(found, order.slides(epoch))
    seen = np.unique(np.concatenate([order.slides(epoch) for epoch in range(20)]))
    assert len(seen) == 10


def test_positions_lead_to_slides_and_to_seeds_of_their_own():
    order = EpochOrder(LABELS, 0)
    order.epoch = 2
    later = order.starting_at(6)
    assert (later.first, later.length, later.epoch) == (6, 10, 2)
    slides, seeds = zip(*[order.slide(p) for p in range(10)], strict=True)
    np.testing.assert_array_equal(slides, order.slides(2))
    assert len({tuple(seed) for seed in seeds}) == 10
    order.epoch = 3
    assert order.slide(0)[1].tolist() != seeds[0].tolist()


def test_an_epoch_that_another_thread_asks_for_meanwhile_does_not_mix_in(monkeypatch):
    order = EpochOrder(LABELS, 0)
    order.slide(0)
    wanted = order.slides(0)
    slides = order.slides
    seeds = np.random.SeedSequence

    def other(entropy):  # a pipeline that is ending, between the look at what is known and its use
        order._known = 1, slides(1)
        return seeds(entropy)

    monkeypatch.setattr(np.random, "SeedSequence", other)
    assert [order.slide(p)[0] for p in range(10)] == wanted.tolist()


def test_balanced_weights_are_those_of_scikit_learn():
    np.testing.assert_allclose(balanced_weights(LABELS), compute_sample_weight("balanced", LABELS), rtol=1e-6)


def test_both_kinds_of_balance_at_once_are_refused():
    with pytest.raises(ValueError, match="choose one"):
        TrainConfig(class_weights="balanced", sampling="balanced")


def test_the_last_two_checkpoints_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    assert checkpoints.latest() is None
    for epoch, batch in ((0, 3), (0, 12), (1, 0)):
        checkpoints.write(epoch, batch, {"epoch": epoch, "batch": batch}, {"x": np.arange(epoch + batch)})
    assert [file.name for file in checkpoints.files()] == ["000001-00000000.npz", "000000-00000012.npz"]
    file, state, arrays = checkpoints.latest()
    assert file == checkpoints.files()[0]
    assert state == {"epoch": 1, "batch": 0}
    np.testing.assert_array_equal(arrays["x"], [0])
    file = checkpoints.files()[0]
    whole = file.read_bytes()
    (tmp_path / "c" / ".half.npz.tmp").write_bytes(whole[:100])
    for damaged in (whole[: len(whole) // 2], b"", whole[:80] + b"\xff" * 8 + whole[88:]):
        checkpoints.write(1, 0, {"epoch": 1, "batch": 0}, {"x": np.arange(1)})
        file.write_bytes(damaged)
        with pytest.warns(UserWarning, match=r"000001-00000000\.npz\.damaged\): training goes on from the one before"):
            assert checkpoints.latest().state == {"epoch": 0, "batch": 12}
        assert not file.exists()
        assert file.with_name(file.name + ".damaged").read_bytes() == damaged
    assert not list((tmp_path / "c").glob(".*"))
    for file in checkpoints.files():
        file.write_bytes(b"")
    with pytest.warns(UserWarning, match="training goes on from the beginning"):
        assert checkpoints.latest() is None


@pytest.mark.parametrize("error", [OSError(116, "Stale file handle"), PermissionError(13, "no"), MemoryError()])
def test_a_checkpoint_that_cannot_be_read_now_is_kept(tmp_path, monkeypatch, error):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, 0, {"epoch": 1}, {"x": np.ones(3)})

    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(np, "load", fail)
        with pytest.raises(type(error)):
            checkpoints.latest()
    assert checkpoints.latest().state == {"epoch": 1}


@pytest.mark.filterwarnings("ignore:1 checkpoint")
def test_wherever_a_checkpoint_is_damaged_it_is_whole_or_passed_over(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(0, 0, {"epoch": 0}, {"x": np.arange(3)})
    checkpoints.write(1, 0, {"epoch": 1}, {"x": np.arange(3)})
    file = checkpoints.files()[0]
    whole = file.read_bytes()
    damages = [whole[:i] + bytes([whole[i] ^ 0x83]) + whole[i + 1 :] for i in range(len(whole))]
    seen = set()
    for damaged in damages + [whole[:n] for n in range(0, len(whole), 40)]:
        file.write_bytes(damaged)
        _, state, arrays = checkpoints.latest()
        seen.add(state["epoch"])
        np.testing.assert_array_equal(arrays["x"], np.arange(3))
    assert seen == {0, 1}  # some bytes, such as times, do not matter


def test_the_best_epoch_and_the_end_of_patience():
    best = BestEpoch("val_loss", patience=2)
    assert [best.better(e, {"val_loss": v}) for e, v in enumerate([3.0, 2.0, 2.0, float("nan")])] == [
        True, True, False, False,
    ]  # fmt: skip
    assert best.ended
    assert (best.epoch, best.value) == (1, 2.0)
    again = BestEpoch("val_loss", patience=2)
    again.restore(best.state())
    assert again.ended
    rising = BestEpoch("val_accuracy")
    assert [rising.better(e, {"val_accuracy": v}) for e, v in enumerate([0.5, 0.4, 0.6])] == [True, False, True]
    assert not rising.ended


def test_neither_the_best_epoch_nor_patience_look_at_epochs_that_only_explored(tmp_path):
    """The first three explore; the model is as much of one as is needed."""
    best = BestEpoch("val_loss", patience=2)
    checkpoints, order = Checkpoints(tmp_path / "c"), EpochOrder(LABELS, 0)
    training = ResumableTraining(checkpoints, tmp_path / "h.csv", order, 3, 1.0, best, None, {})
    weight = keras.Variable(0, name="weight")
    empty = SimpleNamespace(variables=[])
    model = SimpleNamespace(
        explored=False, weights=[weight], variables=[weight], metrics=[], stop_training=False, attention=empty, feature=empty,
        optimizer=SimpleNamespace(variables=[], learning_rate=0.1),
    )  # fmt: skip
    training.set_model(model)
    training.set_params({"epochs": 9})
    ended = []
    for epoch, value in enumerate([0.1, 0.2, 0.3, 1.0, 0.9, 0.95, 0.96]):
        model.explored = epoch >= 3
        weight.assign(epoch)
        training.on_epoch_end(epoch, {"loss": 1.0, "val_loss": value})
        ended.append(model.stop_training)
    assert ended == [False] * 6 + [True]
    assert best.epoch == 4
    assert training.best_weights == {"weight": 4}
    training.take_best(model)
    assert int(weight) == 4


def test_a_configuration_is_a_recipe():
    """Which one, the encoder decides; a key that is set stands."""
    assert recipe_of(RunConfig()) == recipe_of(RunConfig(model=ModelConfig(encoder="uni"))) == Recipe.known()
    for encoder in ("small", "keras:ResNet50@random"):
        assert recipe_of(RunConfig(model=ModelConfig(encoder=encoder))) == Recipe()
    train = TrainConfig(learning_rate=2e-3, schedule="cosine", warmup=0.1, clip_norm=1.0, accumulate=3)
    recipe = recipe_of(RunConfig(train=train, model=ModelConfig(encoder="small", explore_steps=70)))
    assert recipe == Recipe(2e-3, True, 0.0, 0.1, 1.0, None, 3, 70, None)
    assert recipe.explore(10) == 70
    train = TrainConfig(
        schedule="constant", hold_attention=1, place_entropy=[0.1, 0], sharpen_at=[0.5], magnification_entropy=0.2
    )
    recipe = recipe_of(RunConfig(train=train, model=ModelConfig(saliency=0, auxiliary=0)))
    assert recipe == Recipe.known(
        cosine=False,
        hold=1,
        place_entropy=(0.1, 0),
        sharpen_at=(0.5,),
        magnification_entropy=0.2,
        saliency=0,
        auxiliary=0,
    )
    assert recipe_of(RunConfig(train=TrainConfig(place_entropy=[0.1]))).place_entropy == (0.1,)


def test_a_training_goes_on_only_with_the_settings_that_it_began_with():
    """Free ones aside; keys that an earlier release lacked had their defaults, and those that are gone do not count."""
    now = {
        "train.epochs": 3,
        "train.augment": {"flips": True, "stain": 0.1},
        "train.warmup": 0.0,
        "slides of train": "x",
    }
    before = {**now, "train.gone": 1}
    del before["train.warmup"]
    check_settings(before, now, "run")
    check_settings({"train.watch": 1}, {"train.watch": 2}, "run")
    check_settings({"train.augment": {"flips": True}}, {"train.augment": {"flips": True, "stain": 0.0}}, "run")
    for key, value, message in (
        ("train.epochs", 4, r"train.epochs: 3 -> 4"),
        ("train.augment", {"flips": True, "stain": 0.2}, r"train.augment.stain: 0.1 -> 0.2"),
        ("train.warmup", 0.1, r"train.warmup: 0.0 -> 0.1"),
        ("slides of train", "y", r"slides of train: 'x' -> 'y'"),
    ):
        with pytest.raises(ValueError, match=message):
            check_settings(before, {**now, key: value}, "run")


def test_what_is_free_is_said_by_the_models():
    sections = {"data": 5, "prepare": 6, "train": 10}
    for name, count in sections.items():
        keys = RunConfig.model_fields[name].get_default().model_dump()
        assert sum(is_free(f"{name}.{key}") for key in keys) == count
    assert is_free("run")
    assert is_free("evaluate.draws")
    assert not is_free("splits.seed")
    assert not is_free("train.augment.flips")
    assert not is_free("train.unheard.of")
