"""The benchmarks' own tools: slides whose tiles repeat are valid ones, and contestants are compared turn by turn."""

import numpy as np
import openslide
import pytest
import tifffile

from experiments.benchmarks.giant_slides import write_giant
from experiments.common import in_turns
from experiments.common.worker import Worker, WorkerError


def test_giant_slides_are_read_alike_by_openslide_and_tifffile(tmp_path):
    path = write_giant(tmp_path / "giant.tiff", side=3000, mpp=0.5)
    with openslide.OpenSlide(path) as slide, tifffile.TiffFile(path) as tiff:
        assert slide.level_dimensions == ((3000, 3000), (750, 750), (187, 187))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        for level, page in enumerate(tiff.pages):
            expected = page.asarray()[:180, :180]
            got = np.asarray(slide.read_region((0, 0), level, (180, 180)))[..., :3]
            assert np.abs(got.astype(int) - expected).mean() < 1
            assert expected.std() > 10


def test_contestants_take_turns_in_an_order_that_rotates():
    order = []
    contestants = {name: lambda name=name: order.append(name) for name in "ab"}
    turns = []
    taken = in_turns.seconds(contestants, 2, turns.append)
    assert turns == [-1, 0, 1]
    assert order == ["a", "b", "a", "b", "b", "a"]
    assert all(len(values) == 2 for values in taken.values())


def test_ratios_are_of_the_same_turn():
    assert in_turns.ratio([1, 10, 2], [2, 20, 4]) == 2


def test_a_contestant_that_measured_itself_is_believed():
    assert in_turns.seconds({"a": lambda: in_turns.Taken(5.0)}, 1) == {"a": [5.0]}


def test_workers_answer_and_report_errors():
    worker = Worker("fractions:Fraction", {"numerator": 3, "denominator": 4}, {"GREETING": "hello"})
    try:
        assert worker("limit_denominator", 1) == 1
        with pytest.raises(WorkerError, match="max_denominator"):
            worker("limit_denominator", 0)
        assert worker.alive
    finally:
        worker.close()
    assert not worker.alive
    with pytest.raises(WorkerError, match="ModuleNotFoundError"):
        Worker("no_such_module:Thing")
