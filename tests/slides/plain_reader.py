"""Runs code on the op's plain C entry, in processes that know nothing of TensorFlow and so start quickly."""

import os
import subprocess
import sys
import textwrap

from ats_mag.slides.shared_library import load_op

PLAIN = """
import ctypes, os, sys
import numpy as np

class Stats(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("open_slides", "patches_read", "patches_filled")]

library = ctypes.CDLL(sys.argv[1])
library.ats_mag_stats.restype = Stats
library.ats_mag_openslide_version.restype = ctypes.c_char_p

def read(paths, location, fill=False):
    codes = np.zeros((len(paths), 512), np.uint8)
    for row, path in zip(codes, paths):
        row[:len(os.fsencode(path))] = np.frombuffer(os.fsencode(path), np.uint8)
    location = np.ascontiguousarray(location, np.int64)
    count = location.shape[1]
    downsample = np.ones((len(paths), count))
    patches = np.empty((len(paths), count, 32, 32, 3), np.uint8)
    valid = np.empty((len(paths), count), bool)
    message = ctypes.create_string_buffer(1000)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (codes, location, downsample, patches, valid)]
    size = ctypes.c_int64
    code = library.ats_mag_read_patches(
        pointers[0], size(len(paths)), size(512), pointers[1], pointers[2], size(count), size(32), size(32),
        int(fill), pointers[3], pointers[4], message, size(1000))
    return code, message.value.decode(), patches, valid
"""


def run_plain(code, *arguments, **environment):
    """Runs `code`, which finds `library`, `read` and its arguments from `sys.argv[2]` on; returns what it printed.

    A setting of the op that is given as None is not in its environment.
    """
    library = load_op()  # puts OpenSlide's place into the environment
    variables = {name: value for name, value in (os.environ | environment).items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN + textwrap.dedent(code), library, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout
