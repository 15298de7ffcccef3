"""Which pixels of an overview are tissue, glass or ink, in whole numbers that TensorFlow and NumPy compute alike.

The rules are written once, over the few operations of `ArrayOps` that the two spell differently; so preparation, a served model
and what runs without TensorFlow see the same mask.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any, NamedTuple, Protocol

from ats_mag.slides import tissue_limits as limits

_BIN = 8  # grey levels of a bin of the histogram of colours
_BINS = 256 // _BIN


class ArrayOps(Protocol):
    """What the rules need of TensorFlow or NumPy; arrays are `(h, w)` int16, int32 or bool unless stated."""

    def small(self, values: Any) -> Any:
        """As int16: overviews are large, and what is kept of each pixel is little."""

    def whole(self, values: Any) -> Any:
        """As int32."""

    def where(self, condition: Any, one: Any, other: Any) -> Any:
        """One where the condition holds, else the other."""

    def maximum(self, one: Any, other: Any) -> Any:
        """The larger of two, pixel by pixel."""

    def minimum(self, one: Any, other: Any) -> Any:
        """The smaller of two, pixel by pixel."""

    def pad(self, values: Any, width: int) -> Any:
        """With a rim of 0."""

    def total(self, values: Any) -> Any:
        """The sum, or how many hold, int64."""

    def counts(self, values: Any, number: int) -> Any:
        """How often each of 0..number-1 occurs, int64 `(number,)`."""

    def cumsum(self, values: Any) -> Any:
        """Of `(n,)`."""

    def argmax(self, values: Any) -> Any:
        """Place of the first largest of `(n,)`, int32."""

    def arange(self, number: int) -> Any:
        """0..number-1, int64 `(number,)`."""

    def otsu(self, values: Any) -> Any:
        """Otsu's threshold of values in 0..255, int32."""

    def opened(self, mask: Any, radius: int) -> Any:
        """Opened by a disk."""

    def dilated(self, mask: Any, radius: int) -> Any:
        """Dilated by a disk."""


class Findings(NamedTuple):
    """What an overview shows, `(h, w)` bool unless stated.

    Attributes:
        stained: tissue, before specks are removed and pores filled.
        glass: bright and flat as glass is.
        ink: of any colour but red.
        red: red ink, or pools of blood.
        dark: dark and grey: black ink, the edge of the slide.
        fluorescence: one bool; the overview is dark, and tissue is what shines.
    """

    stained: Any
    glass: Any
    ink: Any
    red: Any
    dark: Any
    fluorescence: Any


class _Colours(NamedTuple):
    """The channels, and what is computed of them."""

    red: Any
    green: Any
    blue: Any
    high: Any
    low: Any
    saturation: Any
    hue: Any


def find_tissue(overview: Any, threshold: int | None, keep_ink: bool, ops: ArrayOps) -> Findings:
    """Looks for tissue on an overview.

    Args:
        overview: `(h, w, 3)` uint8, RGB.
        threshold: saturation, 0..255, above which a pixel is stained. None: found on the slide, within bounds.
        keep_ink: whether what has the colour of ink counts as tissue.
        ops: of the arrays' kind.
    """
    raw = [ops.small(overview[..., channel]) for channel in range(3)]
    ones = ops.small(raw[0] >= 0)
    pixels = ops.total(ones)
    area = _box(ones, 1, ops)
    means = [(_box(channel, 1, ops) + area // 2) // area for channel in raw]
    black = ops.maximum(ops.maximum(*means[:2]), means[2]) < limits.BLACK
    fluorescence, shining = _fluorescence(means, pixels, ops)
    glass, white, at_white = _find_glass(means, _is_flat(raw, ones, ops), pixels, ops)
    even = _colours([_divided(channel, w, ops) for channel, w in zip(means, white, strict=True)], ops)
    least = _least_saturation(even.saturation, at_white, ops) if threshold is None else threshold
    dark = black | ((even.high < limits.DARK) & (even.saturation < limits.DARK_GREY))
    stained = (even.saturation > least) & (even.high - even.low >= limits.CHROMA) & ~dark
    # The means over 3 x 3 pixels, which still the noise, reach one pixel too far.
    stained = stained & reduce(
        or_, [channel <= ops.small(w - limits.UNLIKE_GLASS) for channel, w in zip(raw, white, strict=True)]
    )
    ink, red, greenish = _inks(even, stained, pixels, ops)
    dark = ops.opened(dark, 1)
    bright_field = ~fluorescence
    if not keep_ink:
        stained = stained & ~greenish & ~ops.dilated(ink | red | dark, limits.INK_MARGIN)
    return Findings(
        (fluorescence & shining) | (bright_field & stained),
        bright_field & glass,
        bright_field & ink,
        bright_field & red,
        bright_field & dark,
        fluorescence,
    )


def _box(values: Any, radius: int, ops: ArrayOps) -> Any:
    """Sums over squares of `2 * radius + 1` pixels a side; outside counts as 0."""
    padded, width = ops.pad(values, radius), 2 * radius
    rows = sum(padded[i : (i - width) or None] for i in range(1, width + 1)) + padded[:-width]
    return sum(rows[:, i : (i - width) or None] for i in range(1, width + 1)) + rows[:, :-width]


def _divided(channel: Any, white: Any, ops: ArrayOps) -> Any:
    """A channel when the glass is white."""
    return ops.small(ops.minimum((ops.whole(channel) * 255 + white // 2) // white, 255))


def _colours(channels: list[Any], ops: ArrayOps) -> _Colours:
    red, green, blue = channels
    high = ops.maximum(ops.maximum(red, green), blue)
    low = ops.minimum(ops.minimum(red, green), blue)
    chroma = high - low
    some = ops.maximum(chroma, 1)
    at_red = 60 * (green - blue) // some
    hue = ops.where(
        high == red,
        ops.where(at_red < 0, at_red + 360, at_red),
        ops.where(high == green, 120 + 60 * (blue - red) // some, 240 + 60 * (red - green) // some),
    )
    saturation = ops.small(255 * ops.whole(chroma) // ops.maximum(ops.whole(high), 1))
    return _Colours(red, green, blue, high, low, saturation, hue)


def _within(hue: Any, sector: tuple[int, int]) -> Any:
    """Which hues lie in a sector of the circle, from its first angle up to its second."""
    begin, end = sector
    return (hue >= begin) & (hue < end) if begin < end else (hue >= begin) | (hue < end)


def _is_flat(raw: list[Any], ones: Any, ops: ArrayOps) -> Any:
    """Where the brightness hardly varies over 5 x 5 pixels."""
    brightness = ops.whole((raw[0] + 2 * raw[1] + raw[2]) // 4)
    count = _box(ops.whole(ones), 2, ops)
    total, squares = _box(brightness, 2, ops), _box(brightness * brightness, 2, ops)
    return count * squares - total * total <= count * count * limits.GLASS_FLAT**2


def _find_glass(means: list[Any], flat: Any, pixels: Any, ops: ArrayOps) -> tuple[Any, list[Any], Any]:
    """What may be glass, its colour, and where it has that."""
    seen = _colours(means, ops)
    glass = _like_glass(seen, flat, pixels, ops)
    return glass, *_the_glass(seen, glass, pixels, ops)


def _like_glass(seen: _Colours, flat: Any, pixels: Any, ops: ArrayOps) -> Any:
    """What may be glass: bright, flat, grey, or as pale as tinted glass is."""
    bright = seen.high >= limits.GLASS_BRIGHTNESS
    grey = bright & flat & (seen.saturation <= limits.GREY)
    blue = _within(seen.hue, limits.BLUE_GLASS_HUES) & (seen.saturation <= limits.BLUE_GLASS)
    tinted = bright & ((_within(seen.hue, limits.TINT_HUES) & (seen.saturation <= limits.TINT)) | blue)
    is_grey = ops.total(grey) * 100 >= pixels * limits.LEAST_GLASS_PERCENT
    tinted = tinted & ~(blue & is_grey)
    mostly_flat = ops.total(tinted & flat) * 100 >= ops.total(tinted) * limits.TINTED_FLAT_PERCENT
    return grey | (tinted & flat & mostly_flat)


def _the_glass(seen: _Colours, like_glass: Any, pixels: Any, ops: ArrayOps) -> tuple[list[Any], Any]:
    """The colour of the glass, three numbers, and where it is: of what may be glass, the brightest colour that covers enough."""
    scanned = like_glass & (seen.low < limits.WHITE)
    key = ops.whole(seen.red // _BIN * _BINS + seen.green // _BIN) * _BINS + ops.whole(seen.blue // _BIN)
    counts = ops.counts(ops.where(scanned, key, _BINS**3), _BINS**3 + 1)[: _BINS**3]
    number = ops.arange(_BINS**3)
    brightness = number // _BINS**2 + number // _BINS % _BINS + number % _BINS
    enough = counts * 100 >= pixels * limits.LEAST_GLASS_PERCENT
    best = ops.argmax(ops.where(enough, brightness * 2**40 + counts, 0 * counts))
    found = enough[best]
    middle = [best // _BINS**2, best // _BINS % _BINS, best % _BINS]
    at = scanned
    for channel, bin_ in zip(seen[:3], middle, strict=True):
        at = at & (channel >= ops.small((bin_ - 1) * _BIN)) & (channel < ops.small((bin_ + 2) * _BIN))
    number = ops.maximum(ops.total(at), 1)
    white = []
    for channel in seen[:3]:
        mean = ops.whole((ops.total(ops.where(at, channel, 0 * channel)) + number // 2) // number)
        white.append(ops.where(found, ops.maximum(mean, 1), 255))
    return white, at


def _least_saturation(saturation: Any, glass: Any, ops: ArrayOps) -> Any:
    """Above what a pixel is stained: twice the saturation that 95 % of the glass stays within, held between two bounds."""
    counts = ops.cumsum(ops.counts(ops.where(glass, ops.whole(saturation), 256), 257)[:256])
    most = ops.total(counts * 20 < counts[-1] * 19)
    least, greatest = limits.STAINED
    return ops.small(ops.minimum(ops.maximum(2 * most, least), greatest))


def _inks(even: _Colours, stained: Any, pixels: Any, ops: ArrayOps) -> tuple[Any, Any, Any]:
    """Ink, red ink or blood, and what is greenish where green is no stain."""
    green = _within(even.hue, limits.GREENISH)
    blue = _within(even.hue, limits.BLUE_INK_HUES) & (even.saturation >= limits.BLUE_INK)
    yellow = _within(even.hue, limits.YELLOW_INK_HUES) & (even.saturation >= limits.YELLOW_INK)
    yellow = yellow & (even.high >= limits.YELLOW_INK_BRIGHTNESS)
    red = _within(even.hue, limits.RED_INK_HUES) & (even.saturation >= limits.RED_INK)
    red = red & (even.high >= limits.RED_INK_BRIGHTNESS)
    covered = ops.total(stained)

    def unless_stain(ink: Any) -> Any:
        ink = ink & stained
        inked = ops.total(ink)
        much = inked * 100 > pixels * limits.STAIN_PERCENT
        return ink & ~(much & ((covered - inked) * limits.STAIN_TO_REST < inked))

    green, *others = (unless_stain(ink) for ink in (green, blue, yellow))
    ink = reduce(or_, [green & (even.saturation >= limits.GREEN_INK), *others])
    ink, red = ops.opened(ink, 1), ops.opened(unless_stain(red), 1)
    return ink, red, green


def _fluorescence(means: list[Any], pixels: Any, ops: ArrayOps) -> tuple[Any, Any]:
    """Whether the overview is of fluorescence, and what shines on it."""
    high = ops.whole(ops.maximum(ops.maximum(*means[:2]), means[2]))
    low = ops.minimum(ops.minimum(*means[:2]), means[2])
    dim = ops.total(high < limits.DIM) * 100 > pixels * limits.FLUORESCENCE_PERCENT
    field = ops.total(low >= limits.BRIGHT_FIELD) * 100 >= pixels * limits.BRIGHT_FIELD_PERCENT
    counts = ops.cumsum(ops.counts(high, 256))
    ground = ops.whole(ops.total(counts * 20 < counts[-1]))
    least, greatest = limits.LIGHT
    least = ops.maximum(ground + limits.LIGHT_OVER_GROUND, least)
    return dim & ~field, high > ops.maximum(ops.minimum(ops.otsu(high), greatest), least)
