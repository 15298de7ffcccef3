"""Stands in for `Predictor`: quick, and says of a slide what is in its file."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

SECONDS = float(os.environ.get("STUB_SECONDS", "0"))


class StubPredictor:
    """A model that is a text file; slides are text files, too."""

    opened = 0

    def __init__(self, path, **options):
        if Path(path).read_text().startswith("none"):
            raise ValueError(f"{str(path)!r} is no model")
        StubPredictor.opened += 1
        self.options = options

    def predict(self, slide, slide_mpp=None, tissue_mask=None):
        time.sleep(SECONDS)
        text = Path(slide).read_text()
        if text.startswith("bad"):
            raise ValueError(f"slide {slide!r} is\nbad")
        columns = {"p_a": float(text), "p_b": 1 - float(text)}
        return SimpleNamespace(columns=lambda: columns)


def write_slides(folder, count, bad=()):
    """`count` slides with their paths; those of the numbers in `bad` cannot be read."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"s{i:03d}.tif").write_text("bad" if i in bad else repr(1 / (i + 2)))
    return [folder / f"s{i:03d}.tif" for i in range(count)]
