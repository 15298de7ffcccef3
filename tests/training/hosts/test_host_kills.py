"""One of two processes that is killed ends the other, and the training goes on; `kill/host_kills.py` does it more often."""

import random

import pytest
from kill.host_kills import kill_again_and_again
from made_run import prepared  # noqa: F401


@pytest.mark.long
def test_a_killed_process_ends_the_training_which_goes_on_to_the_bit(prepared):  # noqa: F811
    assert kill_again_and_again(prepared, 1, random.Random(1))[0][1] is not None
