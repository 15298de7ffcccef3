"""What a slide file says about itself, as plain Python, and the op's errors as ordinary exceptions."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from ats_mag.slides.reader import _one_path, _ops, _scalar


class SlideError(OSError):
    """A file that exists but cannot be opened as a slide, or whose pixels cannot be read."""


@dataclass(frozen=True)
class SlideInfo:
    """A slide's properties. Sizes are (width, height); `level_*` have one entry per level, the finest first."""

    path: str
    vendor: str | None
    dimensions: tuple[int, int]
    level_dimensions: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]  # level-0 pixels per pixel of the level
    level_mpp: tuple[float, ...] | None  # um/px; None when `mpp` is
    tile_dimensions: tuple[tuple[int, int] | None, ...]  # None where the file does not say
    level_readers: tuple[str, ...]  # "direct", or "OpenSlide: " and why the level is not read directly
    mpp: float | None  # um/px of level 0; None when unknown or implausible
    mpp_source: str | None  # "argument", "openslide.mpp-x", "aperio.MPP", "tiff.XResolution"...; None when unknown
    mpp_problem: str | None  # why the value found is refused, and what to do
    objective_power: float | None  # for display: never taken as a resolution
    bounds: tuple[int, int, int, int]  # x, y, width, height in level-0 pixels
    background: tuple[int, int, int]  # RGB: the slide's own colour, or white
    quickhash: str | None  # OpenSlide's hash that identifies the slide


def slide_info(path: str | os.PathLike[str], slide_mpp: float | None = None) -> SlideInfo:
    """Reads the properties of one slide.

    Args:
        path: the slide file.
        slide_mpp: its resolution in um/px, where known better than from the file.

    Returns:
        A `SlideInfo`. An unknown or implausible resolution is no error here: see its `mpp` and `mpp_problem`.

    Raises:
        FileNotFoundError: the file does not exist.
        SlideError: it is no slide.
    """
    with plain_errors(), tf.device("CPU:0"):
        mpp = _scalar(float("nan") if slide_mpp is None else slide_mpp, "slide_mpp")
        stated = json.loads(_ops().ats_mag_slide_info(_one_path(path), mpp).numpy())
    downsamples = tuple(float(downsample) for downsample in stated["level_downsamples"])
    found = None if stated["mpp_problem"] else stated["mpp"]
    level_dimensions = tuple(_pair(size) for size in stated["level_dimensions"])
    left, top, width, height = stated["bounds"]
    red, green, blue = stated["background"]
    return SlideInfo(
        path=os.fspath(path),
        vendor=stated["vendor"],
        dimensions=level_dimensions[0],
        level_dimensions=level_dimensions,
        level_downsamples=downsamples,
        level_mpp=None if found is None else tuple(found * downsample for downsample in downsamples),
        tile_dimensions=tuple(None if size is None else _pair(size) for size in stated["tile_dimensions"]),
        level_readers=tuple("direct" if why is None else f"OpenSlide: {why}" for why in stated["not_direct"]),
        mpp=found,
        mpp_source=stated["mpp_source"],
        mpp_problem=stated["mpp_problem"],
        objective_power=_number(stated["objective_power"]),
        bounds=(left, top, width, height),
        background=(red, green, blue),
        quickhash=stated["quickhash"],
    )


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Within it, TensorFlow's errors become ordinary Python exceptions with readable messages."""
    try:
        yield
    except tf.errors.OpError as error:
        raise translate_op_error(error) from error


def translate_op_error(error: tf.errors.OpError) -> Exception:
    """Returns the Python exception for an error of an op, however deep in a graph or data pipeline it was raised."""
    message = _message(error.message or str(error))
    match error:
        case tf.errors.NotFoundError():
            return FileNotFoundError(message)
        case tf.errors.PermissionDeniedError():
            return PermissionError(message)
        case tf.errors.DataLossError():
            return SlideError(message)
        case tf.errors.InvalidArgumentError():
            return SlideError(message) if message.startswith("cannot open slide") else ValueError(message)
        case tf.errors.ResourceExhaustedError():
            return MemoryError(message)
        case _:
            return RuntimeError(message)


def _message(text: str) -> str:
    """An op's own message, without what TensorFlow wraps around it."""
    text = re.sub(r"\{\{\w+ [^}]*\}\}", "", text)  # {{function_node __wrapped__...}}, {{node ...}}
    text = re.sub(r"\s*\[\[.*?\]\]", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*\[Op:[^\]]*\]( name:\s*\S*)?\s*$", "", text)
    text = re.sub(r"^\s*Error in user-defined function passed to .*?iterator: \S+: ", "", text)  # from a tf.data.map
    # "Graph execution error:", "Detected at node ... (most recent call last):" and an indented trace come first.
    _, found, rest = text.rpartition("(most recent call last):\n")
    if found:
        lines = rest.splitlines()
        while len(lines) > 1 and (not lines[0].strip() or lines[0].startswith((" ", "<stack traces"))):
            lines.pop(0)
        text = "\n".join(lines)
    return text.strip()


def _pair(values: list[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
