"""Training folds: what is written, early stopping, bad slides, accumulation, several devices, and what is refused."""

import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from made_run import prepared, write_config  # noqa: F401

from ats_mag.config.reading import read_config
from ats_mag.runs.run import Run
from ats_mag.training.fit import train_fold

pytestmark = [pytest.mark.usefixtures("_quick"), pytest.mark.filterwarnings("ignore:Gradients do not exist")]


@pytest.fixture
def _quick(monkeypatch):
    """Small networks, and steps of one part: most of the time goes into tracing, once per part."""
    from ats_mag.model import built_in_networks as networks

    monkeypatch.setattr("ats_mag.model.training_step.DEFAULT_PARTS", 1)

    small = networks.feature_network
    monkeypatch.setattr(networks, "feature_network", lambda size: small(size, 16, (8, 16)))
    attention = networks.attention_network
    monkeypatch.setattr(
        networks, "attention_network", lambda m, stride, **options: attention(m, stride, (8, 8), **options)
    )


def open_run(folder, run, model=None, **train):
    """A new run on the cohort in `folder`."""
    return Run.open(read_config(write_config(folder, run, model, **train)))


@pytest.fixture
def configure(prepared, tmp_path):  # noqa: F811
    """`configure(**train)` -> a new run."""

    def make(name="run", model=None, **train):
        return open_run(prepared, tmp_path / name, model, **({"augment": {"flips": False}} | train))

    return make


class Logs(keras.callbacks.Callback):
    """Keeps what callbacks are told, and stops after so many batches."""

    def __init__(self, batches=None):
        super().__init__()
        self.begun, self.batches, self.left = 0, 0, batches

    def on_train_begin(self, logs=None):
        self.begun += 1
        self.given = dict(self.params)

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.batches == self.left:
            raise KeyboardInterrupt


def weights(model):
    return [np.array(w) for w in model.get_weights()]


def test_a_run_that_is_interrupted_goes_on_and_one_that_is_complete_is_not_repeated(configure):
    settings = {"checkpoint_minutes": 1e-6, "tensorboard": True, "class_weights": "balanced", "batch_size": 4}
    whole = configure("whole", **settings, watch=2)
    model = train_fold(whole, 0)
    folder = whole.layout.fold(0).folder
    assert {p.name for p in folder.iterdir()} == {"model.keras", "history.csv", "checkpoints", "tensorboard"}
    history = pd.read_csv(folder / "history.csv")
    assert list(history["epoch"]) == [0, 1]
    assert {"loss", "val_loss", "accuracy", "learning_rate"} <= set(history)
    (events,) = (folder / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"attention at 0.5 um per px" in content
    assert b"patches at 2 um per px" in content
    broken = configure("broken", **settings, watch=0)
    with pytest.raises(KeyboardInterrupt):
        train_fold(broken, 0, [Logs(3)])  # the first batch of the second epoch
    logs = Logs()
    found = train_fold(broken, 0, [logs])
    assert (logs.begun, logs.batches) == (1, 1)
    assert (logs.given["done"], logs.given["resumed"]) == (3, "epoch 2, batch 1")
    for a, b in zip(weights(found), weights(model), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    again = Logs()
    loaded = train_fold(whole, 0, [again])
    assert again.begun == 0
    for a, b in zip(weights(loaded), weights(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_settings_are_refused_for_a_run_that_began(configure, tmp_path):
    from ats_mag.training.checkpoints import Checkpoints
    from ats_mag.training.resumable import ResumableTraining
    from ats_mag.training.settings import settings_of

    def settings(**train):
        return settings_of(configure(**train).config, {"train": []}, {"train": 3})

    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.write(0, 2, {"settings": settings(learning_rate=1e-3)}, {})

    def resumable(settings):
        return ResumableTraining(checkpoints, tmp_path / "history.csv", None, 3, 1.0, None, None, settings)

    with pytest.raises(ValueError, match=r"other settings \(train\.learning_rate: 0\.001 -> 0\.01\)"):
        resumable(settings(learning_rate=1e-2)).restore(None)
    assert settings(learning_rate=1e-3, checkpoint_minutes=5, watch=1) == settings(learning_rate=1e-3)


def _replace(checkpoints, arrays):
    """The latest checkpoint, with other arrays."""
    _, state, _ = checkpoints.latest()
    checkpoints.write(state["epoch"], state["batch"], state, arrays)


def test_a_checkpoint_of_another_model_is_refused_before_anything_is_changed(configure, monkeypatch):
    from ats_mag.training.checkpoints import Checkpoints
    from ats_mag.training.resumable import ResumableTraining

    run = configure(monitor="val_loss", batch_size=7)
    with pytest.raises(KeyboardInterrupt):
        train_fold(run, 0, [Logs(2)])  # after the first epoch's checkpoint
    checkpoints = Checkpoints(run.layout.fold(0).checkpoints)
    file, _, whole = checkpoints.latest()
    logits = "attention/logits/kernel"
    assert {f"model/{logits}", f"best/{logits}", f"optimizer/adam/{logits}/momentum"} <= set(whole)
    assigned, original = [], ResumableTraining.restore

    def restore(self, model):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keras.Variable, "assign", lambda variable, value: assigned.append(variable.path))
            return original(self, model)

    monkeypatch.setattr(ResumableTraining, "restore", restore)

    def refused(arrays, message):
        _replace(checkpoints, arrays)
        with pytest.raises(
            ValueError, match=rf"'.*{file.name}' is of another model .*{message}.*, or remove '.*fold-0'"
        ):
            train_fold(run, 0)
        assert assigned == []

    def without(name):
        return {key: array for key, array in whole.items() if key != name}

    refused(without(f"model/{logits}"), rf"\(it lacks: model/{logits}\)")
    refused(without(f"best/{logits}"), rf"\(it lacks: best/{logits}\)")
    extra = {"optimizer/adam/gone/momentum": np.zeros(3)}
    refused(whole | extra, r"\(the model has no: optimizer/adam/gone/momentum\)")
    shaped = {"model/head/bias": np.zeros(3)}
    refused(whole | shaped, r"\(of another shape are: model/head/bias \(3,\) for \(2,\)\)")


def test_early_stopping_gives_the_best_weights(configure, monkeypatch):
    from ats_mag.training.resumable import ResumableTraining

    values = iter([1.0, 0.5, 0.7, 0.6, 0.1])
    seen = []
    original = ResumableTraining.on_epoch_end

    def scripted(self, epoch, logs=None):
        seen.append(weights(self.model))
        original(self, epoch, logs | {"val_loss": next(values)})

    monkeypatch.setattr(ResumableTraining, "on_epoch_end", scripted)
    model = train_fold(configure(epochs=5, patience=2, batch_size=7), 0)
    assert len(seen) == 4
    for a, b in zip(weights(model), seen[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_accumulated_batches_make_the_step_of_the_large_batch(configure):
    """One step on 6 of 6 slides drawn, in one batch and in three."""
    from ats_mag.model import classifier as models

    def first_step(**settings):
        found = []

        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                found.extend(weights(self.model))

        train_fold(
            configure(f"run{settings['batch_size']}", {"test_method": "topk"}, epochs=1, **settings), 0, [Stop()]
        )
        return found

    draw = models.SlideClassifier.draw
    with pytest.MonkeyPatch.context() as patch:  # the same patches whatever the batch
        patch.setattr(models.SlideClassifier, "draw", lambda self, a, *_, **__: draw(self, a, method="topk"))
        patch.setattr("ats_mag.sampling.schedules.ScheduleStrength.on_train_batch_begin", lambda *_, **__: None)
        patch.setattr("ats_mag.training.fit.fold_records", lambda run, fold: _even(run))
        large, small = first_step(batch_size=6), first_step(batch_size=2, accumulate=3)
    for a, b in zip(large, small, strict=True):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def _even(run):
    """Six slides to train on."""
    from ats_mag.records.record import find_records

    return {"train": find_records(run.config.records)[:6], "validation": []}


@pytest.mark.long
@pytest.mark.parametrize(
    "more", [{"clip_norm": 0.05}, {"clip_norm": 0.05, "accumulate": 2, "epochs": 2}, {"mixed_precision": True}]
)
def test_two_devices_train_as_one(configure, tmp_path, more):
    """Also where one of them has fewer slides of the last batch, and gradients are clipped and accumulated."""
    settings = {"epochs": 1, "batch_size": 4} | more
    tolerance = 2e-2 if "mixed_precision" in more else 1e-5
    from ats_mag.model import classifier as models

    draw = models.SlideClassifier.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.SlideClassifier, "draw", lambda self, a, *_, **__: draw(self, a, method="topk"))
        one = weights(train_fold(configure("one", **settings), 0))
        two = weights(train_fold(configure("two", devices="all", **settings), 0))
    for a, b in zip(one, two, strict=True):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=tolerance)
    losses = [pd.read_csv(tmp_path / name / "fold-0" / "history.csv")["loss"] for name in ("one", "two")]
    np.testing.assert_allclose(*losses, rtol=max(1e-4, tolerance))


def test_what_several_devices_cannot_do_is_refused(configure):
    with pytest.raises(ValueError, match="no batch of up to 3 slides divides 7 slides"):
        train_fold(configure("two", devices="all"), 0)


@pytest.mark.long
def test_two_devices_go_on_as_if_uninterrupted(configure):
    """That they draw differently is shown in models/test_replicas.py."""
    settings = {"devices": "all", "batch_size": 5, "clip_norm": 0.05, "checkpoint_minutes": 1e-6}
    whole = train_fold(configure("whole", **settings), 0)
    config = configure("broken", **settings)
    with pytest.raises(KeyboardInterrupt):
        train_fold(config, 0, [Logs(1)])
    logs = Logs()
    model = train_fold(config, 0, [logs])
    assert logs.batches == 3  # of 4 of 4 and 3 slides; 5 and 2 would leave a device without any
    for a, b in zip(weights(model), weights(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.fixture
def untrained(monkeypatch):
    """`fit` trains nothing; the list has an entry for each time that it was called."""
    calls = []
    monkeypatch.setattr(keras.Model, "fit", lambda model, *_, **options: calls.append(options))
    return calls


def test_a_callback_that_stops_a_resumed_epoch_stops_the_training(configure, monkeypatch, untrained):
    def restore(self, model):
        self.batch = 1
        return True

    monkeypatch.setattr("ats_mag.training.resumable.ResumableTraining.restore", restore)
    train_fold(configure("goes-on"), 0)
    assert [call["epochs"] for call in untrained] == [1, 2]
    untrained.clear()
    monkeypatch.setattr(
        keras.Model,
        "fit",
        lambda model, *_, **options: (untrained.append(options), setattr(model, "stop_training", True)),
    )
    train_fold(configure("stops"), 0)
    assert len(untrained) == 1


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(("devices", "size", "parts"), [("one", 2, 2), ("one", 5, 4), ("all", 5, 2)])
def test_no_part_of_a_step_is_without_a_slide(configure, monkeypatch, devices, size, parts):
    monkeypatch.setattr("ats_mag.model.training_step.DEFAULT_PARTS", 4)
    assert train_fold(configure(devices=devices, batch_size=size), 0).step_parts == parts


@pytest.mark.usefixtures("untrained")
def test_a_model_that_was_trained_past_bad_slides_refuses_them_when_used(configure, tmp_path):
    from ats_mag.evaluation.evaluate import evaluate
    from ats_mag.model.saving import load_model
    from ats_mag.records.record import find_records

    run = configure(on_bad_slide="skip")
    trained = train_fold(run, 0)
    saved = load_model(run.layout.fold(0).model)
    assert trained.on_error == saved.on_error == saved.reader.on_error == "raise"
    records = find_records(run.config.records)[:1]
    saved.on_error = "fill"
    with pytest.raises(FileNotFoundError, match=r"s0\.tif"):
        evaluate(saved, records, tmp_path)


@pytest.mark.long
def test_balanced_sampling_and_mixed_precision(configure):
    model = train_fold(configure(sampling="balanced", mixed_precision=True, clip_norm=1.0, accumulate=2), 0)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.feature.layers[2].compute_dtype == "float16"
    assert keras.mixed_precision.dtype_policy().name == "float32"


def _damaged(folder, prepared):  # noqa: F811
    """A copy of the cohort in which two training slides became unreadable."""
    shutil.copytree(prepared / "slides", folder / "slides")
    shutil.copytree(prepared / "records", folder / "records")
    shutil.copy(prepared / "manifest.csv", folder)
    for name in ("s1", "s2"):
        (folder / "slides" / f"{name}.tif").write_bytes(b"no slide any more")
    return folder


def test_bad_slides_are_counted_have_no_weight_and_stop_the_run_past_the_limit(prepared, tmp_path):  # noqa: F811
    folder = _damaged(tmp_path, prepared)
    settings = {"on_bad_slide": "skip", "augment": {"flips": False}}
    near = {"local_copies": str(tmp_path / "near")}
    run = open_run(folder, tmp_path / "run", **settings, max_bad_slides=2, **near)
    train_fold(run, 0)
    bad = pd.read_csv(run.layout.fold(0).bad_slides)
    assert sorted(bad["slide_id"]) == ["s1", "s2"]
    assert list(bad["path"]) == [str(folder / "slides" / f"{name}.tif") for name in bad["slide_id"]]
    assert bad["error"].str.contains("cannot open slide").all()
    history = pd.read_csv(run.layout.fold(0).history)
    assert list(history["unreadable"]) == [8, 8]
    run = open_run(folder, tmp_path / "strict", **settings, max_bad_slides=1, epochs=1)
    with pytest.raises(OSError, match=r"2 slides .* more than train.max_bad_slides=1: s"):
        train_fold(run, 0)


@pytest.mark.long
@pytest.mark.graphs
def test_a_bad_slide_ends_the_run_where_none_is_skipped(prepared, tmp_path):  # noqa: F811
    folder = _damaged(tmp_path, prepared)
    run = open_run(folder, tmp_path / "raise")
    with pytest.raises(OSError, match=r"s[12]\.tif"):
        train_fold(run, 0)


def test_missing_records_are_named(prepared, tmp_path):  # noqa: F811
    shutil.copytree(prepared / "records", tmp_path / "some")
    (tmp_path / "some" / "s3.tfrecord").unlink()
    file = write_config(prepared, tmp_path / "run", epochs=1)
    config = read_config(file)
    few = config.prepare.model_copy(update={"records": tmp_path / "some"})
    with pytest.raises(ValueError, match=r"1 slides of fold 0 have no record in .*: s3\. Run `ats-mag prepare`"):
        train_fold(Run.open(config.model_copy(update={"prepare": few})), 0)
    few = few.model_copy(update={"on_bad_slide": "skip"})
    with pytest.warns(UserWarning, match=r"1 slides .* s3; they are left out"):
        train_fold(Run.open(config.model_copy(update={"prepare": few})), 0)


@pytest.mark.parametrize(
    ("settings", "model", "message"),
    [
        ({"monitor": "val_auc"}, {}, "train.monitor must be one of loss, .*val_loss"),
        ({"class_weights": "balanced"}, {"head": "multi_label"}, "multi_label"),
        ({}, {"n_patches": 5000}, "fewer than model.n_patches=5000"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_begins(configure, settings, model, message):
    with pytest.raises(ValueError, match=message):
        train_fold(configure(model=model, **settings), 0)
