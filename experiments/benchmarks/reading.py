"""Patches per second from slide files: our op, its peers in Python, and bare tile decoding.

    python experiments/benchmarks/reading.py [--work FOLDER] [--quick] [--out FILE]

writes `experiments/results/reading.json`. Each contestant is a process of its own, held to as many processors as it has
threads; all take turns at the same fresh random places of one slide's level. A slide is in the file system's cache, and
handles stay open. What a contestant read is compared with what openslide-python reads there: who reads other pixels is
left out. Peers that are not installed are left out too:

    pip install '.[bench]' && pip install --no-deps cucim-cu12 click  # cuCIM reads on the processor without its GPU parts

Decoded tiles are kept by default up to 512 MiB in all by ours (half of it for tiles that OpenSlide decodes), 32 MiB a
slide by OpenSlide and by what reads through tifffile here, and not at all by cuCIM; "no cache" and "512 MiB" name
contestants with that much. Besides, ours decodes a tile once for all patches of a call, with no cache too. A call of
hundreds of patches shares many tiles, the more the smaller the level; a training step asks for some 16 patches of a
slide. So the contestants "16 a call" tell what a step gains, and "16 a call, no cache" is the one to hold against
peers that read patch by patch without a cache.

Slides: made ones of three kinds, and those below ATS_MAG_DATA (default: `../shared/data`) that are large enough.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import contest
import made_slides
import openslide
from level_contest import REFERENCE, SIZE, Contestant, LevelContest, levels
from worker import Worker, WorkerError

ROOT = Path(__file__).resolve().parents[2]
SMALLEST_SIDE = 900  # of a level, in pixels; a smaller one has few places that differ
MADE = {"made JPEG": "jpeg.tiff", "made Aperio JPEG": "aperio.svs", "made Aperio JPEG 2000": "aperio-2000.svs"}
PATCHES = {
    "made JPEG": 512,
    "made Aperio JPEG": 256,
    "made Aperio JPEG 2000": 16,
}  # per turn: fewer where decoding is slow
OTHER_PATCHES = 32  # of slides that are small, too
PACKAGES = ("openslide-python", "openslide-bin", "tiffslide", "tifffile", "imagecodecs", "cucim-cu12", "tensorflow")


def contestants(threads: tuple[int, ...]) -> Iterator[Contestant]:
    """All of them; those with other than their default cache at the largest number of threads only."""
    through_openslide = {"ATS_MAG_DIRECT": "0"}
    for n in threads:
        yield Contestant("ours", "Ours", n, {}, {})
        yield Contestant("ours, through OpenSlide", "Ours", n, {}, through_openslide)
        yield Contestant("ours, snapped to tiles", "Ours", n, {}, {}, corners=True)
        yield Contestant(REFERENCE, "OpenSlidePython", n, {}, {})
        yield Contestant("tiffslide", "Tiffslide", n, {}, {})
        yield Contestant("tifffile + imagecodecs", "Tifffile", n, {}, {})
        yield Contestant("cuCIM", "CuCIM", n, {}, {})
        yield Contestant("bare decoding of the tiles", "BareDecoding", n, {}, {}, patches=False)
    n = max(threads)
    no_cache = {"ATS_MAG_CACHE_BYTES": "0"}
    yield Contestant("ours, no cache", "Ours", n, {}, no_cache)
    yield Contestant("ours, through OpenSlide, no cache", "Ours", n, {}, no_cache | through_openslide)
    yield Contestant("ours, 16 a call", "Ours", n, {"per_call": 16}, {})
    yield Contestant("ours, 16 a call, no cache", "Ours", n, {"per_call": 16}, no_cache)
    yield Contestant("openslide-python, no cache", "OpenSlidePython", n, {"cache_bytes": 0}, {})
    yield Contestant("openslide-python, 512 MiB", "OpenSlidePython", n, {"cache_bytes": 512 << 20}, {})
    yield Contestant("cuCIM, 512 MiB", "CuCIM", n, {"cache_mebibytes": 512}, {})


def make_slides(work: Path, side: int) -> dict[str, Path]:
    """The made slides, each made only where it is not there yet."""
    made = {name: work / f"{side}-{file}" for name, file in MADE.items()}
    if not all(path.exists() for path in made.values()):
        image = made_slides.tissue(side)
        jpeg, aperio, jpeg_2000 = made.values()
        made_slides.tiff(jpeg, image)
        whole = side // 3840 * 3840 or side  # a multiple of the 240-pixel tiles at every level
        made_slides.aperio_jpeg(aperio, image[:whole, :whole])
        made_slides.aperio_jpeg_2000(jpeg_2000, image[:4096, :4096])
    return made


def real_slides() -> dict[str, Path]:
    """Slides at hand that OpenSlide opens."""
    folder = Path(os.environ.get("ATS_MAG_DATA", ROOT.parent / "shared" / "data")) / "slides"
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "broken" not in path.parts and openslide.OpenSlide.detect_format(path):
            found[path.name] = path
    return found


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
    contest.show("Random patches of 224 x 224", head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder that keeps the made slides (default: a temporary one)")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", default="", help="slides whose name contains this")
    parser.add_argument(
        "--quick", action="store_true", help="small made slides, two threads, two turns; writes only with --out"
    )
    parser.add_argument("--out", type=Path, help="result file (default: experiments/results/reading.json)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        slides = make_slides(work, 1024 if options.quick else 16384)
        if not options.quick:
            slides |= real_slides()
        found = run({name: slides[name] for name in slides if options.only in name}, options)
    if options.out or not options.quick:
        contest.write("reading", found, options.out)


class Field:
    """The contestants' processes: started once, and again where one has died."""

    def __init__(self, threads: tuple[int, ...]) -> None:
        self.contestants = list(contestants(threads))
        self.workers: dict[str, Worker] = {}
        self.not_installed: dict[str, str] = {}

    def entered(self) -> list[tuple[Contestant, Worker]]:
        for contestant in self.contestants:
            key = contestant.key
            worker = self.workers.get(key)
            if key in self.not_installed or (worker is not None and worker.alive):
                continue
            try:
                self.workers[key] = contestant.start()
            except WorkerError as error:
                self.not_installed[key] = str(error)
        return [(c, self.workers[c.key]) for c in self.contestants if c.key in self.workers]

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def run(slides: Mapping[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    """All slides; prints a table for each."""
    turns = 2 if options.quick else options.turns
    smallest_side = 2 * SIZE if options.quick else SMALLEST_SIDE
    threads = options.threads[-1:] if options.quick else options.threads
    field = Field(tuple(threads))
    results = []
    try:
        for name, path in slides.items():
            patches = 32 if options.quick else PATCHES.get(name, OTHER_PATCHES)
            contests = (LevelContest(level, field.entered(), patches) for level in levels(path, smallest_side))
            found = [one.measure(turns) for one in contests]
            if found:
                show(name, found)
                results.append({"slide": name, "bytes": path.stat().st_size, "levels": found})
    finally:
        field.close()
    return {
        "versions": contest.versions(*PACKAGES),
        "settings": {"patch": SIZE, "turns": turns, "threads": threads},
        "not_installed": field.not_installed,
        "slides": results,
    }


if __name__ == "__main__":
    main()
