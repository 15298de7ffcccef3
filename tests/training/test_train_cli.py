"""`ats-mag train` as a user meets it: what it says when it begins, goes on, and has nothing to do."""

import io

import pytest
from made_run import prepared, write_config  # noqa: F401
from rich.console import Console
from typer.testing import CliRunner

from ats_mag.cli import app
from ats_mag.cli.console import resumable
from ats_mag.training.progress_bar import FitProgress


def test_all_folds_are_trained_once(prepared, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("ats_mag.model.training_step.DEFAULT_PARTS", 1)
    config = write_config(prepared, tmp_path / "run", epochs=1, batch_size=7)
    first = CliRunner().invoke(app, ["train", str(config)])
    assert first.exit_code == 0, first.output
    assert "epoch 1/1: accuracy" in first.output
    assert "positive class: striped" in first.output
    assert "wrote" in first.output
    again = CliRunner().invoke(app, ["train", str(config), "--fold", "0"])
    assert "fold 0 is trained already" in again.output
    missing = CliRunner().invoke(app, ["train", str(config), "--fold", "3"])
    assert missing.exit_code
    assert "folds 0 to 0" in str(missing.exception)
    write_config(prepared, tmp_path / "run", epochs=1, batch_size=7, learning_rate=0.1)
    other = CliRunner().invoke(app, ["train", str(config)])
    assert other.exit_code
    assert "train.learning_rate was 0.001 and is 0.1" in str(other.exception)


def test_an_interrupted_command_says_that_it_can_be_given_again(capsys):
    @resumable
    def command():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command()
    assert "interrupted: what is done is kept; the same command goes on" in capsys.readouterr().err


def test_progress_says_where_a_run_goes_on():
    shown = io.StringIO()
    progress = FitProgress(Console(file=shown, width=200))
    progress.set_params({"epochs": 4, "steps": 5, "fold": 1, "done": 12, "resumed": "epoch 3, batch 2"})
    progress.on_train_begin()
    assert progress.progress.tasks[0].completed == 12
    progress.on_epoch_begin(2)
    for batch in range(3):
        progress.on_train_batch_end(batch, {"loss": 1.0})
    assert progress.progress.tasks[0].completed == 15
    progress.on_epoch_end(2, {"loss": 0.5})
    assert progress.progress.tasks[0].completed == 15
    progress.on_train_end()
    assert "Training fold 1: resumed from the checkpoint at epoch 3, batch 2" in shown.getvalue()
    assert "epoch 3/4: loss 0.5" in shown.getvalue()


def test_every_epoch_has_a_line_and_its_numbers_stand_below_each_other(monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("ats_mag.training.progress_bar.time.monotonic", lambda: float(next(clock)))
    shown = io.StringIO()
    progress = FitProgress(Console(file=shown, width=20))
    progress.set_params({"epochs": 12, "steps": 1})
    progress.on_train_begin()
    for epoch, loss in enumerate((1.5, 0.00001, -12.25, float("nan"), 0.0, 12345.6, *[0.1] * 6)):
        progress.on_epoch_begin(epoch)
        progress.on_epoch_end(epoch, {"loss": loss, "accuracy": 0.5, "val_loss": loss})
    progress.on_train_end()
    lines = shown.getvalue().splitlines()
    assert len(lines) == 12  # none is broken, as narrow as the console is
    assert lines[0] == "epoch  1/12: loss 1.5000    accuracy 0.5000    val_loss 1.5000    0:00:10 passed, 0:01:50 left"
    assert lines[1].startswith("epoch  2/12: loss 1.0e-05   accuracy")
    assert lines[-1].endswith("0:02:00 passed")
    for word in (": loss", "accuracy", "val_loss", " passed"):
        assert len({line.index(word) for line in lines}) == 1


def test_a_long_epoch_is_told_of_every_minute_where_there_is_no_terminal(monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("ats_mag.training.progress_bar.time.monotonic", lambda: float(next(clock)))
    shown = io.StringIO()
    progress = FitProgress(Console(file=shown, width=200))
    progress.set_params({"epochs": 2, "steps": 20})
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    for batch in range(20):
        progress.on_train_batch_end(batch, {"loss": 1.0})
    progress.on_train_end()
    lines = shown.getvalue().splitlines()
    assert lines[0].startswith("epoch 1/2: batch 7/20  0:01:20 passed, ")
    assert 2 <= len(lines) <= 4


def test_two_processes_do_not_train_one_fold(prepared, tmp_path):  # noqa: F811
    from ats_mag.config.reading import read_config
    from ats_mag.runs.run import Run
    from ats_mag.system.lock import held_lock
    from ats_mag.training.fit import train_fold

    config = read_config(write_config(prepared, tmp_path / "run"))
    run = Run.open(config)
    before = {path.name for path in config.run.iterdir()}
    with (
        held_lock(config.run / ".fold-0.lock", "held"),
        pytest.raises(RuntimeError, match=r"another process is training into '.*fold-0': wait for it"),
    ):
        train_fold(run, 0)
    assert {path.name for path in config.run.iterdir()} == {".fold-0.lock", *before}
