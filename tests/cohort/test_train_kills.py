"""A training killed at random moments ends as one that was let alone; `kill/train_kills.py` does it more often."""

import random

import pytest
from cohort.made_run import prepared, write_config  # noqa: F401
from kill.train_kills import SETTINGS, compare, finish, start, train_killed


@pytest.mark.parametrize("settings", [{}])
def test_killed_and_uninterrupted_trainings_agree_to_the_bit(prepared, settings):  # noqa: F811
    runs = {name: prepared / f"kills-{name}" for name in ("whole", "killed")}
    configs = {name: write_config(prepared, run, **(SETTINGS | settings)) for name, run in runs.items()}
    finish(start(configs["whole"]))
    assert train_killed(configs["killed"], runs["killed"], 2, random.Random(1)) > 0
    compare(runs["whole"], runs["killed"], [f"s{i}" for i in range(7)])
