"""A small cohort to prepare, good and broken slides, made quickly; and what its records must not differ in."""

import hashlib
import os
import stat

import numpy as np
import pandas as pd

from ats_mag.preparation.slide import prepare_slide
from ats_mag.slides.writing.pyramid import write_pyramid

OVERVIEW_MPP = 8.0


def write_slide(path, seed, side=512, mpp=0.5):
    """A slide with a stained disk on glass; mpp=None: the file does not state it."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side + 64 * (seed % 3), 3), 243, np.uint8)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    disk = np.hypot(y - side / 2, x - side / 2) < side * 0.35
    image[disk] = np.clip(rng.normal((170, 90, 160), 12, (int(disk.sum()), 3)), 0, 255)
    if mpp is not None:
        return write_pyramid(path, image, mpp, (1, 4))
    import tifffile

    tifffile.imwrite(path, image, tile=(256, 256), photometric="rgb", compression="deflate", metadata=None)
    return path


def make_cohort(folder, good=4):
    """Writes `slides/` and returns the manifest, as `read_manifest` would."""
    (folder / "slides").mkdir(parents=True)
    names = []
    for i in range(good):
        write_slide(folder / "slides" / f"s{i}.tif", i)
        names.append(f"s{i}.tif")
    return table(names)


def table(names, **columns):
    """A manifest of files."""
    ids = [name.rpartition(".")[0] for name in names]
    found = pd.DataFrame({"slide_id": ids, "path": names})
    patients = [f"p{i}" for i in range(len(names))]
    found = found.assign(patient_id=patients, label=["a", "b"] * (len(names) // 2) + ["a"] * (len(names) % 2))
    return found.assign(**({"mpp": float("nan"), "split": "", "site": ""} | columns))


def fingerprints(folder):
    """SHA-256 of all that preparing puts out; the state is none of it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "state")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def prepare_or_wait(job):
    """As `prepare_slide`, which has no patience with pipes; this one waits, for ever, at those among the slides."""
    if os.path.exists(job.slide) and stat.S_ISFIFO(os.stat(job.slide).st_mode):
        with open(job.slide) as pipe:
            pipe.read()
    return prepare_slide(job)


def add_pipes(folder, *names):
    """The manifest of the cohort's slides with those to wait at."""
    for name in names:
        os.mkfifo(folder / "slides" / f"{name}.tif")
    regular = sorted(path.name for path in (folder / "slides").iterdir() if path.is_file())
    return table([*(f"{name}.tif" for name in names), *regular])
