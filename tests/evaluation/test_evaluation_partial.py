"""While some folds are not trained: what is measured says that it is a part, and replaces nothing that is whole."""

import json

import pytest
from made_results import make_run

from ats_mag.config.reading import read_config
from ats_mag.evaluation.folds import across_folds, across_some_folds
from ats_mag.runs.run import Run

pytestmark = pytest.mark.needs_tensorflow


def run_of(folder, **options):
    return Run.open(read_config(make_run(folder, figures=False, **options)))


def test_a_part_is_marked_and_goes_when_all_is_there(tmp_path):
    run = run_of(tmp_path / "some", folds=3, measured=[0, 2])
    before = {path.name for path in run.layout.folder.iterdir()}
    found = across_some_folds(run, [1])
    assert {path.name for path in run.layout.folder.iterdir()} - before == {"evaluation-partial.json"}
    stored = json.loads(run.layout.partial.read_text())
    assert found["partial"] == stored["partial"] == {"missing": [1], "of": 3}
    assert stored["folds"] == [0, 2]
    assert len(stored["slides"]["mean"]["accuracy"]["values"]) == 2
    with pytest.raises(FileNotFoundError, match=r"fold\(s\) 1 .* not measured yet"):
        across_folds(run)
    with pytest.raises(FileNotFoundError, match="not measured yet"):
        across_some_folds(run, [0])  # fold 1 is not left out, and not measured
    with pytest.raises(FileNotFoundError, match="not measured yet"):
        across_some_folds(run, [0, 1, 2])


def test_a_part_replaces_nothing_of_a_whole_and_a_whole_replaces_a_part(tmp_path):
    run = run_of(tmp_path / "all", folds=2)
    whole = {path: path.read_bytes() for path in run.layout.folder.glob("*.*")}
    assert run.layout.evaluation in whole
    across_some_folds(run, [1])
    assert {path: path.read_bytes() for path in whole} == whole
    across_folds(run)
    assert {path: path.read_bytes() for path in run.layout.folder.glob("*.*")} == whole  # the part is gone
