"""Damages slides by the thousand and reads them with a sanitized build of the op.

Run `make fuzz`, or `PYTHONPATH=tests python -m fuzz.run` from the root.

A run is named by its seed and number of files, and can be stopped and started again: it goes on where it was. The exit
status is 0 only if nothing crashed, hung, answered wrongly or kept memory.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .hostile import hostile_files
from .mutate import mutate
from .seeds import made_seeds, other_sound, real_seeds, refused_seeds
from .target import REFUSED_ALLOCATION, Target, plain, sanitized

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"
RESULT = ROOT / "experiments" / "results" / "fuzz.json"
DATA = Path(os.environ.get("ATS_MAG_DATA", ROOT.parent / "shared" / "data"))
FULL = 20_000  # files of a run whose result is kept

_OP = ROOT / "ats_mag" / "slides" / "op"
_FLAGS = ["-std=c++17", "-g", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-pthread"]
_SANITIZE = [
    *("-O1", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
    "-D_GLIBCXX_ASSERTIONS",
]
_SHARE_OF_LARGE = 0.02  # large real slides are slow to copy
_LARGE = 200_000
_BATCH = 500  # files after which the state is saved
_ROUNDS, _MOST_KIB_A_FILE = 60, 2


def main() -> None:
    parser = argparse.ArgumentParser(description="Damage slides and read them with a sanitized build of the op.")
    parser.add_argument("--count", type=int, default=FULL, help="files")
    parser.add_argument("--first", type=int, default=0, help="index of the first; with --count 1: one case again")
    parser.add_argument("--seed", type=int, default=0, help="of all damage")
    parser.add_argument(
        "--keep", type=Path, default=BUILD / "kept", help="folder for files that something is wrong with"
    )
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever an earlier run has done")
    options = parser.parse_args()
    summary = Campaign(options.seed, options.first, options.count, options.keep, options.fresh).run()
    if options.first == 0 and options.count >= FULL:
        RESULT.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps({name: value for name, value in summary.items() if name != "kinds"}, indent=2))
    sys.exit(1 if summary["wrong"] else 0)


def build(sanitize: bool) -> Path:
    """Compiles the engine's sources as they are; nothing where an earlier driver is of the same sources."""
    folders = Path(__file__).parent, _OP
    headers = [path for folder in folders for path in sorted(folder.glob("*.h"))]
    sources = [path for folder in folders for path in sorted(folder.glob("*.cc"))]
    compiler = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    command = [*compiler, *_FLAGS, *(_SANITIZE if sanitize else ["-O2"]), *op_flags(), f"-I{_OP}"]
    digest = hashlib.sha256(shlex.join(command).encode())
    for path in (*headers, *sources):
        digest.update(path.name.encode() + path.read_bytes())
    driver = BUILD / f"driver-{digest.hexdigest()[:12]}"
    if driver.exists():
        return driver
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:

        def compile_one(source: Path) -> str:
            built = str(Path(folder, f"{source.parent.name}-{source.stem}.o"))
            subprocess.run([*command, "-c", str(source), "-o", built], check=True)
            return built

        objects = list(pool.map(compile_one, sources))
        linked = Path(folder, "driver")
        subprocess.run([*command, *objects, "-o", str(linked), "-ldl"], check=True)
        linked.replace(driver)
    return driver


def op_flags() -> list[str]:
    """What setup.py defines for the op's sources."""
    flags = shlex.split(os.environ.get("CXXFLAGS", ""))
    text = (ROOT / "setup.py").read_text()
    return [*flags, *(word for word in text.replace('"', " ").replace(",", " ").split() if word.startswith("-D"))]


class Campaign:
    """One run: cases by index, outcomes by kind of damage."""

    def __init__(self, seed: int, first: int, count: int, keep: Path, fresh: bool = False):
        self.seed, self.first, self.count, self.keep = seed, first, count, keep
        self.sanitized_driver, self.plain_driver = build(sanitize=True), build(sanitize=False)
        self.sound = made_seeds()
        self.files = self.sound | refused_seeds() | real_seeds(DATA / "slides")
        self.small = sorted(name for name, data in self.files.items() if len(data) <= _LARGE)
        self.large = sorted(name for name, data in self.files.items() if len(data) > _LARGE)
        self.progress = BUILD / f"progress-{self.sanitized_driver.name}-{seed}-{first}-{count}.json"
        self.state: dict[str, Any] = {
            "next": first,
            "kinds": {},
            "wrong": [],
            "differs": [],
            "worst_ms": 0.0,
            "worst_case": None,
            "peak_kib": 0,
            "seconds": 0.0,
        }
        if self.progress.exists() and not fresh:
            self.state = json.loads(self.progress.read_text())

    def case(self, index: int) -> tuple[str, bytes, str]:
        """The kind of damage, the file, and the name of what it was."""
        large = self.large and index % round(1 / _SHARE_OF_LARGE) == 0
        names = self.large if large else self.small
        name = names[int(hashlib.sha256(f"{self.seed}/{index}/file".encode()).hexdigest(), 16) % len(names)]
        kind, data = mutate(self.files[name], f"{self.seed}/{index}")
        return kind, data, name

    def run(self) -> dict[str, Any]:
        os.environ.setdefault(
            "ATS_MAG_OPENSLIDE", str(Path(find_spec("openslide_bin").origin).with_name("libopenslide.so.1"))
        )
        with tempfile.TemporaryDirectory() as folder:
            sound, other = Path(folder, "sound.tif"), Path(folder, "other.tif")
            sound.write_bytes(self.sound["written"])
            other.write_bytes(other_sound())
            check_harness(self.sanitized_driver, sound)
            with (
                sanitized(self.sanitized_driver, sound) as target,
                plain(self.plain_driver, other) as judge,
                plain(self.plain_driver, sound, direct=False) as openslide,
            ):
                check_seeds(target, self.sound, folder)
                self._hostile(target, folder)
                while self.state["next"] < self.first + self.count:
                    self._batch(target, judge, openslide, folder)
                    self.progress.write_text(json.dumps(self.state))
                leak = self._leak(judge, folder)
        return self._summary(leak)

    def _batch(self, target: Target, judge: Target, openslide: Target, folder: str) -> None:
        state, start = self.state, time.monotonic()
        for index in range(state["next"], min(state["next"] + _BATCH, self.first + self.count)):
            kind, data, name = self.case(index)
            path = Path(folder, f"{index}.tif")  # a path of its own, lest an open handle answers for it
            path.write_bytes(data)
            outcome, second = target.run(path, index), judge.run(path, index)
            slow = "hang" in outcome or REFUSED_ALLOCATION in outcome.get("crash", "")
            if slow and "opened" in second:
                # Huge blocks that are never touched take the sanitizer long, but nobody else.
                outcome = second | {"heavy": True}
            elif "opened" in outcome and "opened" not in second:
                outcome = second
            elif "opened" in outcome and second["digests"] != outcome["digests"]:
                outcome["faults"].append("the slide read beside it changes its pixels")
            if "opened" in outcome:
                third = openslide.run(path, index)
                outcome = outcome | compare(outcome["digests"], third["digests"]) if "opened" in third else third
            path.unlink()
            self._count(index, kind, name, data, outcome)
        state["next"] = index + 1
        state["seconds"] += time.monotonic() - start
        print(f"{state['next']} files, {len(state['wrong'])} wrong", file=sys.stderr, flush=True)

    def _count(self, index: int, kind: str, name: str, data: bytes, outcome: dict[str, Any]) -> None:
        state = self.state
        counts = collections.Counter(state["kinds"].get(kind, {}))
        wrong = [fate for fate in ("crash", "hang") if fate in outcome] or (["fault"] if outcome["faults"] else [])
        odd = [fate for fate in ("heavy", "differs") if fate in outcome]
        counts.update(["files", *wrong, *odd])
        if "opened" in outcome:
            counts["opened"] += outcome["opened"]
            for what in ("images", "filled", "skipped", "more"):
                counts[what] += outcome.get(what, 0)
            for code, number in outcome["errors"].items():
                counts[f"errors {code}"] += number
            if outcome["ms"] > state["worst_ms"]:
                state["worst_ms"], state["worst_case"] = outcome["ms"], index
            state["peak_kib"] = max(state["peak_kib"], outcome["peak_kib"])
        state["kinds"][kind] = dict(counts)
        for fate in {*wrong, *odd} - {"heavy"}:
            self.keep.mkdir(parents=True, exist_ok=True)
            kept = self.keep / f"{self.seed}-{index}-{fate}.tif"
            kept.write_bytes(data)
            report = outcome.get(fate) or "\n".join(outcome["faults"])
            kept.with_suffix(".txt").write_text(f"{kind} of {name}\n{report}\n")
            where = "differs" if fate == "differs" else "wrong"
            state[where].append({"case": index, "kind": kind, "file": name, "fate": fate})

    def _hostile(self, target: Target, folder: str) -> None:
        """The files that are known to kill OpenSlide."""
        self.state["wrong"] = [case for case in self.state["wrong"] if case["kind"] != "hostile"]
        for index, (name, data) in enumerate(hostile_files().items()):
            path = Path(folder, f"hostile-{index}.tif")
            path.write_bytes(data)
            outcome = target.run(path, index)
            if "opened" not in outcome or outcome["faults"]:
                self.state["wrong"].append({"case": index, "kind": "hostile", "file": name, "fate": sorted(outcome)[0]})

    def _leak(self, judge: Target, folder: str) -> float:
        """KiB that a file leaves behind: the same damage again and again, in a process without a sanitizer."""
        wrong = {case["case"] for case in self.state["wrong"]}
        cases = [
            i for i in range(self.first, self.first + self.count) if i not in wrong and (i % 50 or self.count == 1)
        ][:60]
        files = [self.case(i)[1] for i in cases]
        judge.stop()
        levels = []
        for turn in range(_ROUNDS):
            for index, data in enumerate(files):
                path = Path(folder, f"{turn}-{index}.tif")
                path.write_bytes(data)
                outcome = judge.run(path, index)
                path.unlink()
            levels.append(outcome.get("rss_kib", 0))
        settled = _ROUNDS // 2  # caches and fragments need some rounds to fill
        return (levels[-1] - levels[settled]) / max(1, len(files) * (_ROUNDS - 1 - settled))

    def _summary(self, leak: float) -> dict[str, Any]:
        state = self.state
        totals: collections.Counter[str] = collections.Counter()
        for counts in state["kinds"].values():
            totals.update(counts)
        wrong = list(state["wrong"])
        if leak > _MOST_KIB_A_FILE:
            wrong.append({"fate": f"every file leaves {leak:.1f} KiB behind"})
        needed = ("opened", "images", "filled", "errors 3", "errors 15")
        if self.count >= FULL and not all(totals[what] for what in needed):
            wrong.append({"fate": "some class of outcome never happened: the run proves nothing"})
        return {
            "seed": self.seed,
            "count": self.count,
            "seconds": round(state["seconds"]),
            "totals": {what: totals[what] for what in sorted(totals)},
            "worst_processor_ms": round(state["worst_ms"]),
            "worst_case": state["worst_case"],
            "peak_mib": state["peak_kib"] >> 10,
            "kib_left_by_a_file": round(leak, 2),
            "wrong": wrong,
            "differs": state["differs"],  # for a look: OpenSlide has its own ways with damaged files
            "kinds": {kind: state["kinds"][kind] for kind in sorted(state["kinds"])},
        }


def compare(ours: list[int], openslides: list[int]) -> dict[str, Any]:
    """Pictures read by the op's own decoding, and through OpenSlide alone.

    Parts of a damaged tile that lie before the damage are read only by the former; what both read must be the same.
    """
    differing = [i for i, (one, other) in enumerate(zip(ours, openslides, strict=False)) if other and one != other]
    if len(ours) != len(openslides) or differing:
        return {"differs": f"{len(ours)} pictures, through OpenSlide alone {len(openslides)}; others: {differing}"}
    return {"more": sum(bool(one) for one in ours) - sum(bool(other) for other in openslides)}


def check_harness(driver: Path, sound: Path) -> None:
    """What must be caught is caught."""
    fates = {"!overrun": "crash", "!undefined": "crash", "!fault": "faults", "!memory": "faults", "!hang": "hang"}
    for name, fate in fates.items():
        with sanitized(driver, sound, seconds=2 if fate == "hang" else 10) as target:
            target.run("!nothing", 0)
            outcome = target.run(name, 0)
        if not outcome.get(fate):
            raise SystemExit(f"the harness misses {name[1:]}, its results would mean nothing: {outcome}")


def check_seeds(target: Target, seeds: dict[str, bytes], folder: str) -> None:
    """Sound slides are read, all of them."""
    for index, (name, data) in enumerate(seeds.items()):
        path = Path(folder, f"seed-{index}.tif")
        path.write_bytes(data)
        outcome = target.run(path, index)
        if not outcome.get("images") or outcome["filled"] or outcome["errors"] or outcome["faults"]:
            raise SystemExit(f"the sound slide {name} is not read: {outcome}")


if __name__ == "__main__":
    main()
