"""One of two processes that is killed or cut off ends the other, and the training goes on; `kill/host_kills.py` does it more often."""

import os
import random
import shutil
import signal
import subprocess

import pandas as pd
import pytest
from kill.cut_link import cut
from kill.host_kills import GRACE, SETTINGS, begun, kill_again_and_again, lose_one
from kill.host_processes import SILENCE, train
from made_run import prepared, write_config  # noqa: F401


@pytest.mark.long
def test_a_killed_process_ends_the_training_which_goes_on_to_the_bit(prepared):  # noqa: F811
    assert kill_again_and_again(prepared, 1, random.Random(1))[0][1] is not None


@pytest.mark.long
def test_a_cut_link_ends_both_and_the_training_goes_on_to_the_bit(prepared):  # noqa: F811
    if os.geteuid() != 0 or shutil.which("ip") is None or subprocess.run(["ip", "netns", "add", "ats-try"]).returncode:
        pytest.skip("needs root's right to make network namespaces, and iproute2")
    subprocess.run(["ip", "netns", "del", "ats-try"], check=True)
    assert max(cut(prepared)) < SILENCE + GRACE


@pytest.mark.long
def test_another_number_of_hosts_goes_on(prepared):  # noqa: F811
    """Draws depend on the number of devices, so what comes out is another training, but a whole one."""
    config = write_config(prepared, prepared / "fewer", **(SETTINGS | {"epochs": 4}))
    run = config.with_suffix("")
    assert lose_one(config, random.Random(1), signal.SIGKILL) is not None
    before = begun(run)
    train(1, config)
    assert pd.read_csv(run / "fold-0" / "history.csv")["epoch"].tolist() == list(range(4))
    assert begun(run) > before
