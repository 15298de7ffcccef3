"""Damaged slides give images or errors, never a crash; the long run with sanitizers is `make fuzz`."""

import collections
import sys
from pathlib import Path

import pytest
from backends import examples
from fuzz import plain
from fuzz.mutate import KINDS, mutate
from fuzz.seeds import made_seeds, refused_seeds
from fuzz.target import Target
from fuzz.tiff import Walk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ats_mag.slides.shared_library import load_op

SEEDS = made_seeds()
FILES = SEEDS | refused_seeds()
NAMES = sorted(FILES)


@pytest.fixture
def target():
    command = [sys.executable, str(Path(plain.__file__)), load_op()]
    with Target(command, {"ATS_MAG_THREADS": "2", "ATS_MAG_MAX_OPEN_SLIDES": "3"}) as target:
        yield target


def _run(target, folder, data, number):
    path = folder / f"{number}.tif"
    path.write_bytes(data)
    outcome = target.run(path, number)
    path.unlink()
    return outcome


def test_sound_slides_are_read(target, tmp_path):
    for number, name in enumerate(SEEDS):
        outcome = _run(target, tmp_path, SEEDS[name], number)
        assert outcome["images"] == 12, (name, outcome)
        assert not outcome["faults"], (name, outcome)


@pytest.mark.long
def test_damaged_slides_give_images_or_errors(target, tmp_path):
    totals = collections.Counter()
    for number in range(150):
        name = NAMES[number % len(NAMES)]
        kind, data = mutate(FILES[name], number)
        outcome = _run(target, tmp_path, data, number)
        assert outcome.get("faults") == [], (number, kind, name, outcome)
        totals.update(outcome["errors"])
        totals.update({"opened": outcome["opened"], "images": outcome["images"], "filled": outcome["filled"]})
    assert totals["opened"] > 50
    assert totals["images"] > 500
    assert totals["filled"] > 500
    assert totals["3"] > 20  # cannot be opened
    assert totals["15"] > 5  # cannot be read


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_can_be_done(kind):
    applied = 0
    for number, data in enumerate(FILES.values()):
        try:
            named, damaged = mutate(data, number, kind)
        except ValueError:
            continue
        assert named == kind
        assert damaged != data
        applied += 1
    assert applied >= 2


@settings(max_examples=examples(150), deadline=None)
@example(name="aperio-jpeg2000-msb-big", number=57, again=57)
@given(name=st.sampled_from(NAMES), number=st.integers(0, 2**64), again=st.integers(0, 2**64))
def test_damage_is_a_function_of_file_and_number(name, number, again):
    kind, damaged = mutate(FILES[name], number)
    assert (kind, damaged) == mutate(FILES[name], number)
    assert damaged != FILES[name]
    assert mutate(damaged, again)[1] != damaged  # what is damaged can be damaged again


@pytest.mark.parametrize("name", NAMES)
def test_the_walk_knows_sound_files(name):
    walk = Walk(FILES[name])
    assert walk.big == ("big" in name)
    assert (walk.order == ">") == ("msb" in name)
    assert len(walk.directories) >= 2
    for directory in walk.directories:
        assert [entry.tag for entry in directory.entries] == sorted({entry.tag for entry in directory.entries})


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "fate"),
    [
        ("import os; input(); os.abort()", "crash"),
        ("input(); print('{', end='', flush=True)", "crash"),
        ("input()\nwhile True: pass", "hang"),
        ("import time; input(); time.sleep(60)", "hang"),
    ],
)
def test_crashes_and_hangs_are_seen(code, fate):
    with Target([sys.executable, "-c", code], {}, seconds=0.2) as target:
        assert fate in target.run("a.tif", 0)
        assert fate in target.run("b.tif", 1)  # by a new process
