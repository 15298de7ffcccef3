"""What docs/troubleshooting.md quotes is what the program says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUOTES = re.findall(r"\*\*`((?:[^`]|\\`)+?)(?<!\\)`", (ROOT / "docs" / "troubleshooting.md").read_text())


@pytest.fixture(scope="module")
def said():
    """All texts in the sources, what f-strings fill in left out."""
    texts = []
    for file in [*ROOT.glob("ats_mag/**/*.py"), *ROOT.glob("data_prep/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                texts.append("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))
    for file in ROOT.glob("ats_mag/slides/op/*.cc"):
        texts += [piece.replace('\\"', '"') for piece in re.findall(r'"((?:[^"\\]|\\.)*)"', file.read_text())]
    return texts


@pytest.mark.parametrize("quote", QUOTES)
def test_quoted_messages_exist(said, quote):
    pieces = [piece.strip(" '…") for piece in quote.replace("\\`", "`").split("…")]
    for piece in filter(None, pieces):
        if len(piece) > 3:
            assert any(piece in text for text in said), f"{piece!r} of {quote!r} is in no source"
