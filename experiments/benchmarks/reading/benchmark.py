"""Patches per second from slide files: our op, its peers in Python, and bare tile decoding.

    python -m experiments.benchmarks.reading [--work FOLDER] [--quick] [--out FILE]

writes `experiments/results/reading.json`. Each contestant is a process of its own, held to as many processors as it has
threads; all take turns at the same fresh random places of one slide's level. A slide is in the file system's cache, and
handles stay open. What a contestant read is compared with what openslide-python reads there: who reads other pixels is
left out, and how far the others are from it is kept (`mean_difference`, `largest_difference`, grey levels): fastslide's
JPEG decoder, for one, rounds and enlarges colours otherwise. Peers that are not installed are left out too:

    pip install '.[bench]' && pip install --no-deps cucim-cu12 click  # cuCIM reads on the processor without its GPU parts

Decoded tiles are kept by default up to 512 MiB in all by ours (half of it for tiles that OpenSlide decodes), 32 MiB a
slide by OpenSlide and by what reads through tifffile here, and not at all by cuCIM and fastslide; "no cache" and "512 MiB" name
contestants with that much. Besides, ours decodes a tile once for all patches of a call, with no cache too. A call of
hundreds of patches shares many tiles, the more the smaller the level; a training step asks for some 16 patches of a
slide. So the contestants "16 a call" tell what a step gains, and "16 a call, no cache" is the one to hold against
peers that read patch by patch without a cache.

Slides: made ones of four kinds, and those below ATS_MAG_DATA (default: `../shared/data`) that are large enough, of which one is
NDPI. There is none of MRXS among them, and nothing here makes one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.benchmarks.reading.contestants import Field
from experiments.benchmarks.reading.level import SIZE, LevelComparison, levels
from experiments.benchmarks.reading.slides import make_slides, real_slides
from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show as show_table

SMALLEST_SIDE = 900  # of a level, in pixels; a smaller one has few places that differ
PATCHES = {
    "made JPEG": 512,
    "made Aperio JPEG": 256,
    "made Aperio JPEG 2000": 16,
    "made DICOM JPEG": 128,
}  # per turn: fewer where decoding is slow
OTHER_PATCHES = 32  # of slides that are small, too
PACKAGES = (
    "openslide-python",
    "openslide-bin",
    "tiffslide",
    "tifffile",
    "imagecodecs",
    "cucim-cu12",
    "fastslide",
    "pydicom",
    "tensorflow",
)


def show(slide: str, cells: list[dict[str, Any]]) -> None:
    """One table per slide: a row per contestant, two columns per level."""
    head = [slide]
    for cell in cells:
        head += [f"level {cell['level']}: patches/s", "x openslide-python"]
    rows = []
    for key in dict.fromkeys(key for cell in cells for key in (*cell["contestants"], *cell["absent"])):
        row = [key]
        for cell in cells:
            found = cell["contestants"].get(key)
            speed = f"{found['patches_per_second']['median']:.0f}" if found else ""
            row += [speed, f"{found['times_openslide_python']:.2f}" if found else "absent" * (key in cell["absent"])]
        rows.append(row)
    show_table("Random patches of 224 x 224", head, rows)


def main() -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.reading", __doc__)
    parser.add_argument("--work", type=Path, help="folder that keeps the made slides (default: a temporary one)")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", default="", help="slides whose name contains this")
    parser.add_argument(
        "--contestants", default="", help="those whose name contains one of these, A|B, and openslide-python"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small made slides, few patches, two threads, two turns; writes only with --out",
    )
    parser.add_argument("--out", type=Path, help="result file (default: experiments/results/reading.json)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        slides = make_slides(work, 1024 if options.quick else 16384) | real_slides()
        found = run({name: slides[name] for name in slides if options.only in name}, options)
    if options.out or not options.quick:
        write(options.out or RESULTS / "reading.json", found)


def run(slides: Mapping[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    """All slides; prints a table for each."""
    turns = 2 if options.quick else options.turns
    smallest_side = 2 * SIZE if options.quick else SMALLEST_SIDE
    threads = options.threads[-1:] if options.quick else options.threads
    field = Field(tuple(threads), options.contestants.split("|"))
    results = []
    try:
        for name, path in slides.items():
            patches = 32 if options.quick else PATCHES.get(name, OTHER_PATCHES)
            compared = (LevelComparison(level, field.entered(), patches) for level in levels(path, smallest_side))
            found = [one.measure(turns) for one in compared]
            if found:
                show(name, found)
                results.append({"slide": name, "bytes": path.stat().st_size, "levels": found})
    finally:
        field.close()
    return {
        "versions": versions(*PACKAGES),
        "settings": {"patch": SIZE, "turns": turns, "threads": threads},
        "not_installed": field.not_installed,
        "slides": results,
    }
