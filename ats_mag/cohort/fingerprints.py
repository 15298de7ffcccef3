"""What tells whether a slide's file is still the same, without reading all of it."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from typing import TypedDict

import pandas as pd

from ats_mag.slides.slide_files import content_digest, slide_files

_AT_ONCE = 8  # waiting for a file system is most of the work
_PATIENCE = 120.0  # seconds without any answer, after which the files that are left are not waited for


class Fingerprint(TypedDict, total=False):
    """What is known of a slide's file: `error` alone, or the others.

    Attributes:
        size: bytes.
        mtime_ns: time of the last change.
        sha256: of the first and last 64 KiB, see `content_digest`.
        error: why the file cannot be read.
    """

    size: int
    mtime_ns: int
    sha256: str
    error: str


def fingerprint(path: str, known: Fingerprint | None = None) -> Fingerprint:
    """Size in bytes, time of the last change (`mtime_ns`), and SHA-256 of the first and last 64 KiB.

    Of a slide with a folder (MRXS) all files count: the sum of their sizes, the latest time, the ends of each.

    Args:
        path: the slide.
        known: an earlier fingerprint, whose hash is taken over where size and time are the same.

    Returns:
        The fingerprint; `{"error": why}` of a file that cannot be read.
    """
    try:
        slide = slide_files(path)
        total, latest = slide.size, max(time for _, _, _, time in slide.files)
        if known is not None and (known.get("size"), known.get("mtime_ns")) == (total, latest):
            return known
        return {"size": total, "mtime_ns": latest, "sha256": content_digest(slide)}
    except OSError as error:
        return {"error": error.strerror or str(error)}


def is_damaged(path: str, size: int, skip: bool) -> bool:
    """Whether a slide that is not what it was has broken: then it is its reader that says so, or skips it.

    Args:
        path: the slide.
        size: bytes that its files had.
        skip: whether slides that cannot be read are skipped: then one that opens, but became shorter, has broken, too.
    """
    from ats_mag.slides.properties import slide_info

    try:
        now = slide_files(path).size
        slide_info(path)
    except (OSError, ValueError, RuntimeError):
        return True
    return skip and now < size


def fingerprints(
    manifest: pd.DataFrame, slides: str | os.PathLike[str], known: dict[str, Fingerprint]
) -> dict[str, Fingerprint]:
    """The fingerprint of every slide by id; of one that cannot be read now, the earlier one.

    Args:
        manifest: as `load_manifest` gives it.
        slides: folder that its paths are relative to.
        known: earlier fingerprints.
    """

    def one(slide_id: str, path: str) -> Fingerprint:
        before = known.get(slide_id)
        found = fingerprint(os.path.join(slides, path), before)
        return before if before is not None and "error" in found else found

    waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Fingerprint]] = queue.SimpleQueue()
    for row in zip(manifest["slide_id"], manifest["path"], strict=True):
        waiting.put(row)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                slide_id, path = waiting.get_nowait()
                done.put((slide_id, one(slide_id, path)))

    # Daemons: a thread that hangs in a file system must not keep the program from ending.
    for _ in range(_AT_ONCE):
        threading.Thread(target=work, daemon=True).start()
    found: dict[str, Fingerprint] = {}
    with contextlib.suppress(queue.Empty):
        while len(found) < len(manifest):
            slide_id, of_slide = done.get(timeout=_PATIENCE)
            found[slide_id] = of_slide
    silent: Fingerprint = {"error": f"no answer within {_PATIENCE:g} s"}
    return {slide_id: found.get(slide_id) or known.get(slide_id) or silent for slide_id in manifest["slide_id"]}


def changed_slides(known: dict[str, Fingerprint], now: dict[str, Fingerprint]) -> list[str]:
    """The ids of slides that can be read and whose content is not what it was.

    Args:
        known: earlier fingerprints, by slide id.
        now: as `fingerprints` gives them.
    """
    return [
        slide_id
        for slide_id, found in now.items()
        if "sha256" in found and found["sha256"] != known.get(slide_id, found).get("sha256", found["sha256"])
    ]
