"""What a converted slide says of the image that it was made from: its content, so that a later call knows it again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import tifffile

from ats_mag.system.atomic_files import digest

_TAG = 65000  # of those that TIFF leaves to anybody; OpenSlide's hash of a slide leaves it out
_PLACE_DIGITS = 16
_FORMER_WRITER = "tifffile.py"  # what slides converted by earlier releases state, which have no stamp


@dataclass(frozen=True)
class SourceStamp:
    """An image, and how it was converted.

    Attributes:
        sha256: of the image's bytes.
        size: of the image in bytes.
        place: a hash of its absolute path, which itself may be nobody's business.
        lossless, white: see `convert_image`.
    """

    sha256: str
    size: int
    place: str
    lossless: bool
    white: int | None

    @classmethod
    def of(cls, image: Path, lossless: bool, white: int | None) -> SourceStamp:
        """Of an image as it is now."""
        place = hashlib.sha256(os.fsencode(os.path.abspath(image))).hexdigest()[:_PLACE_DIGITS]
        return cls(digest(image), image.stat().st_size, place, lossless, white)

    def tag(self) -> tuple[int, str, int, str, bool]:
        """As `tifffile` writes it."""
        return _TAG, "s", 0, json.dumps(asdict(self)), True

    def same_image(self, other: SourceStamp) -> bool:
        """Whether both are of the same bytes, wherever they lie."""
        return (self.sha256, self.size) == (other.sha256, other.size)


def read_stamp(page: tifffile.TiffPage) -> SourceStamp | None:
    """The stamp of a slide's level 0; None where there is none."""
    try:
        return SourceStamp(**json.loads(page.tags.valueof(_TAG, "")))
    except (ValueError, TypeError):
        return None


def may_be_converted(page: tifffile.TiffPage) -> bool:
    """Whether a slide without a stamp may be one that an earlier release converted."""
    return page.tags.valueof("Software") == _FORMER_WRITER
