"""One run, one result file: kept, refused where it is of another configuration, written whole."""

import pytest

from experiments.common import result_files


def test_a_result_is_not_made_again(tmp_path):
    path = tmp_path / "folder" / "a.json"
    made = []

    def make():
        made.append(1)
        return {"accuracy": 0.5}

    first = result_files.kept(path, {"seed": 0, "sides": (1, 2)}, make)
    assert result_files.kept(path, {"seed": 0, "sides": (1, 2)}, make) == first
    assert made == [1]
    assert first["accuracy"] == 0.5
    assert first["configuration"] == {"seed": 0, "sides": [1, 2]}
    assert {"machine", "versions"} <= set(first)
    assert result_files.load("*/a.json", tmp_path) == [first]


def test_another_configuration_is_refused(tmp_path):
    path = tmp_path / "a.json"
    result_files.kept(path, {"seed": 0, "epochs": 5}, dict)
    with pytest.raises(
        ValueError, match=r"a.json' holds a run of another configuration \(epochs: 5 there, 6 asked for\)"
    ):
        result_files.kept(path, {"seed": 0, "epochs": 6}, dict)


def test_a_run_that_fails_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        result_files.kept(tmp_path / "a.json", {}, fail)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match=r"no \*\.json in"):
        result_files.load("*.json", tmp_path)
