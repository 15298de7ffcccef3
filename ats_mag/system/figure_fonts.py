"""Names in any script in figures: by the fonts of this machine, else told in a way that its readers can tell apart."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

_OWN = "DejaVu Sans"  # matplotlib brings it along: Latin, Greek, Cyrillic, Arabic, Hebrew, and more
_NO_FONTS = ("Last Resort",)  # has a box for every character


@contextmanager
def any_script(texts: Iterable[str], svg: bool = False) -> Iterator[None]:
    """Within it, figures are drawn and written with fonts that have the characters of `texts`.

    Args:
        texts: names that come from people.
        svg: of an SVG in which some character has no font here, the text stays text, which its viewer's fonts draw.
    """
    import matplotlib

    found = {font_of(character) for text in texts for character in text}
    options: Any = {"font.family": [_OWN, *sorted(font for font in found if font not in (None, _OWN))]}
    if svg and None in found:
        options["svg.fonttype"] = "none"
    with matplotlib.rc_context(options), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def readable(text: str) -> str:
    """The text, with characters that no font here can draw as their number: "U+540D"."""
    return "".join(c if font_of(c) is not None else f"[U+{ord(c):04X}]" for c in text)


@functools.lru_cache(maxsize=4096)
def font_of(character: str) -> str | None:
    """A font of this machine that has the character; None: there is none."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    own = findfont(FontProperties(family=_OWN))
    if not character.isprintable() or _has(own, character):
        return _OWN
    for font in fontManager.ttflist:
        if not font.name.startswith(_NO_FONTS) and _has(font.fname, character):
            return font.name
    return None


@functools.lru_cache(maxsize=4096)
def _characters(file: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(file).get_charmap())
    except (RuntimeError, OSError):  # fonts of coloured pictures, and damaged ones
        return frozenset()


def _has(file: str, character: str) -> bool:
    return ord(character) in _characters(file)
