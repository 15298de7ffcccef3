"""A training killed at a random moment ends as one that was let alone; `kill/train_kills.py` does it more often."""

import random

import pytest
from kill.train_kills import SETTINGS, compare, finish, start, train_killed
from made_run import prepared, write_config  # noqa: F401

IN_ONE_PART = "1"  # most of a worker's time goes into tracing its step, once per part


@pytest.mark.long
def test_killed_and_uninterrupted_trainings_agree_to_the_bit(prepared):  # noqa: F811
    runs = {name: prepared / f"kills-{name}" for name in ("whole", "killed")}
    configs = {name: write_config(prepared, run, **SETTINGS) for name, run in runs.items()}
    finish(start(configs["whole"], IN_ONE_PART))
    assert train_killed(configs["killed"], runs["killed"], 1, random.Random(1), IN_ONE_PART) > 0
    compare(runs["whole"], runs["killed"], [f"s{i}" for i in range(7)])
