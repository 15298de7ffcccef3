"""Reads patches through the library's plain C entry and checks every answer: `driver.cc` for the library as installed.

Usage: plain.py LIBRARY. Lines "SEED PATH" on stdin; for each a line of JSON on stdout. Knows nothing of TensorFlow, so
that it starts quickly.
"""

import collections
import ctypes
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

_COUNT, _SIDE, _GUARD = 12, 24, 64
_FILE_ERRORS = {3, 5, 7, 15}


class Library:
    """The C entry, with outputs between guard bytes."""

    def __init__(self, path: str):
        self._read = ctypes.CDLL(path).ats_mag_read_patches

    def read(self, path: str, location: np.ndarray, downsample: np.ndarray, fill: bool, canary: int):
        """-> code, message, patches, validity (0, 1, or something else where it was not written), guards intact."""
        codes = np.frombuffer(path.encode().ljust(1024, b"\0"), np.uint8)
        size = _COUNT * _SIDE * _SIDE * 3
        patches = np.full(size + 2 * _GUARD, canary, np.uint8)
        valid = np.full(_COUNT + 2 * _GUARD, 7, np.uint8)
        message = ctypes.create_string_buffer(2000)

        def at(array: np.ndarray, offset: int = 0) -> ctypes.c_void_p:
            return ctypes.c_void_p(array.ctypes.data + offset)

        n = ctypes.c_int64
        code = self._read(
            *(at(codes), n(1), n(1024), at(location), at(downsample), n(_COUNT), n(_SIDE), n(_SIDE), int(fill)),
            *(at(patches, _GUARD), at(valid, _GUARD), message, n(2000)),
        )
        guards = [patches[:_GUARD] == canary, patches[-_GUARD:] == canary, valid[:_GUARD] == 7, valid[-_GUARD:] == 7]
        inside = patches[_GUARD:-_GUARD].reshape(_COUNT, -1)
        return code, message.value.decode(), inside, valid[_GUARD:-_GUARD], bool(np.all(guards))


def check(library: Library, path: str, seed: int) -> dict:
    """Reads the same patches three times: twice filled, over different bytes, and once strictly."""
    rng = np.random.default_rng(seed)
    location = rng.integers(-60, 320, (_COUNT, 2))
    location[0] = rng.choice([-(1 << 40), 1 << 40], 2)
    downsample = rng.choice([1, 1, 2, 4, 0.25, 1.7, 3.98, 16], _COUNT)
    faults = []
    code, message, patches, valid, guarded = library.read(path, location, downsample, True, 0xA5)
    _, _, again, valid_again, guarded_again = library.read(path, location, downsample, True, 0x5A)
    strict_code, strict_message, strict, _, guarded_strictly = library.read(path, location, downsample, False, 0xC3)
    if not (guarded and guarded_again and guarded_strictly):
        faults.append("bytes outside the output are written")
    if code != 0:
        faults.append(f"not filled: code {code}: {message}")
    elif (patches != again).any() or (valid != valid_again).any() or (valid > 1).any():
        faults.append("bytes are not written, or differ from time to time")
    elif (patches[valid == 0] != 255).any():
        faults.append("a patch that is not valid is not white")
    elif (strict_code == 0) != bool(valid.all()) or (strict_code == 0 and (strict != patches).any()):
        faults.append("strict and filling answers disagree")
    if strict_code not in {0, *_FILE_ERRORS} or (strict_code and path not in strict_message):
        faults.append(f"code {strict_code}: {strict_message}")
    return {
        "opened": bool(valid.any()),  # the far place is always read where there is a slide
        "images": int((valid == 1).sum()),
        "filled": int((valid == 0).sum()),
        "skipped": 0,
        "errors": collections.Counter([strict_code] if strict_code else []),
        "faults": faults,
    }


def main() -> None:
    library = Library(sys.argv[1])
    for line in sys.stdin:
        seed, _, path = line.strip().partition(" ")
        start = time.perf_counter()
        answer = check(library, path, int(seed))
        answer["ms"] = 1000 * (time.perf_counter() - start)
        # Not ru_maxrss, which begins with what the process had that started this one.
        status = Path("/proc/self/status").read_text()
        answer["peak_kib"] = int(status.split("VmHWM:")[1].split()[0])
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        answer["rss_kib"] = pages * resource.getpagesize() >> 10
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
