"""What runs in the environment of attention-sampling 0.2 is plain Python 3.7, and imports nothing of this repository."""

import ast
from pathlib import Path

import pytest

from experiments.common import worker
from experiments.megapixel import reference

SCRIPTS = [*Path(reference.__file__).parent.glob("*.py"), worker.SERVER]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_it_runs_without_the_package(script):
    tree = ast.parse(script.read_text(), feature_version=(3, 7))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not {name.partition(".")[0] for name in imported} & {"ats_mag", "experiments", "data_prep"}
