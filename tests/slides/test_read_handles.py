"""Open slides: shared by threads, bounded in number, dropped at a fork, reopened when replaced."""

import ctypes
import os
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from plain_reader import run_plain

from ats_mag.slides.reader import read_overview, read_patches
from ats_mag.slides.shared_library import load_op
from ats_mag.slides.writing.pyramid import write_pyramid


def test_threads_share_a_slide(tissue_slide):
    places = np.random.default_rng(0).integers(-50, 1000, (8, 2, 20, 2))
    downsample = np.random.default_rng(1).choice([1.0, 2.7, 4.0, 0.5], (2, 20))

    def read(place):
        return read_patches([tissue_slide, tissue_slide], place, downsample, (40, 40)).numpy()

    alone = [read(place) for place in places]
    overview = read_overview(tissue_slide, 4.0).numpy()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(read, np.concatenate([places] * 3)))
        overviews = list(pool.map(lambda _: read_overview(tissue_slide, 4.0).numpy(), range(16)))
    np.testing.assert_array_equal(together, alone * 3)
    assert all((other == overview).all() for other in overviews)


def test_a_replaced_file_is_read_anew(tmp_path, noise):
    path = tmp_path / "replaced.tif"
    for start in (0, 100, 200):
        write_pyramid(path, noise[start : start + 300, :300], 0.25, compression="deflate")
        patch = read_patches([str(path)], [[[0, 0]]], 1.0, (32, 32))[0, 0]
        np.testing.assert_array_equal(patch, noise[start : start + 32, :32])


def test_a_fork_gets_handles_and_threads_of_its_own(noise_slide, tissue_slide):
    run_plain(
        """
        paths = sys.argv[2:]
        location = np.random.default_rng(0).integers(0, 800, (2, 40, 2))
        code, message, before, _ = read(paths, location)
        assert code == 0, message
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                same = library.ats_mag_stats().open_slides == 0
                for _ in range(5):
                    code, message, patches, _ = read(paths, location)
                    same = same and code == 0 and (patches == before).all()
                os._exit(0 if same and library.ats_mag_stats().open_slides == 2 else 1)
            children.append(child)
        for _ in range(5):
            assert (read(paths, location)[2] == before).all()
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        """,
        noise_slide,
        tissue_slide,
        ATS_MAG_THREADS="4",
    )


@pytest.mark.parametrize("most", [1, 3])
def test_open_slides_are_bounded(folder, noise, most):
    paths = []
    for i in range(6):
        paths.append(str(write_pyramid(folder / f"lru{i}.tif", noise[i:, i:][:100, :100], 0.25, compression="deflate")))
    np.save(folder / "noise.npy", noise)
    run_plain(
        f"""
        paths, noise = sys.argv[3:], np.load(sys.argv[2])
        def opened():
            return sum(os.readlink(f"/proc/self/fd/{{fd}}").endswith(".tif") for fd in os.listdir("/proc/self/fd")
                       if os.path.islink(f"/proc/self/fd/{{fd}}"))
        for _ in range(3):
            code, message, patches, valid = read(paths, np.zeros((6, 4, 2)))
            assert code == 0 and valid.all(), message
            for i in range(6):
                assert (patches[i] == noise[i:i + 32, i:i + 32]).all()
            assert library.ats_mag_stats().open_slides == {most}
            read(paths[:1], np.zeros((1, 1, 2)))
            assert library.ats_mag_stats().open_slides == {most}
        assert opened() <= {most} * 2
        """,
        str(folder / "noise.npy"),
        *paths,
        ATS_MAG_MAX_OPEN_SLIDES=str(most),
        ATS_MAG_THREADS="2",
        ATS_MAG_CACHE_BYTES="0",
    )


def test_plain_c_entry(noise_slide):
    run_plain(
        """
        assert library.ats_mag_openslide_version().startswith(b"4.")
        assert library.ats_mag_threads() == 3
        code, message, patches, valid = read(["/nowhere.svs"], np.zeros((1, 2, 2)))
        assert code == 5 and message.startswith("cannot open slide '/nowhere.svs': file does not exist"), message
        code, message, patches, valid = read(["/nowhere.svs", sys.argv[2]], np.zeros((2, 2, 2)), fill=True)
        assert code == 0 and valid.tolist() == [[False] * 2, [True] * 2] and (patches[0] == 255).all()
        stats = library.ats_mag_stats()
        assert (stats.open_slides, stats.patches_read, stats.patches_filled) == (1, 2, 2)
        """,
        noise_slide,
        ATS_MAG_THREADS="3",
    )


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("ATS_MAG_THREADS", "many", "ATS_MAG_THREADS must be a whole number"),
        ("ATS_MAG_MAX_OPEN_SLIDES", "0", "ATS_MAG_MAX_OPEN_SLIDES must be a whole number of at least 1"),
        ("ATS_MAG_OPENSLIDE", "/nowhere/libopenslide.so.1", "cannot load OpenSlide; install the package"),
    ],
)
def test_wrong_settings_are_errors_even_when_filling(noise_slide, name, value, word):
    run_plain(
        f"""
        code, message, *_ = read(sys.argv[2:], np.zeros((1, 1, 2)), fill=True)
        assert code == 9 and "{word}" in message, message
        """,
        noise_slide,
        **{name: value},
    )


@pytest.mark.long
def test_a_process_with_only_tensorflow_serves(noise_slide, tmp_path):
    """As a model server would: the library alone, copied elsewhere, without this package."""
    library = tmp_path / "op.so"
    shutil.copy(load_op(), library)
    code = """
        import sys
        import tensorflow as tf
        op = tf.load_op_library(sys.argv[1])
        patches, valid = op.ats_mag_read_patches(
            [sys.argv[2]], tf.zeros((1, 1, 2), tf.int64), tf.ones((1, 1), tf.float64), tf.zeros((0, 8, 8, 3), tf.uint8))
        assert valid.numpy().all() and not any(name.startswith("ats_mag") for name in sys.modules)
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    assert "ATS_MAG_OPENSLIDE" in environment  # set when the op was loaded
    command = [sys.executable, "-c", textwrap.dedent(code), str(library), noise_slide]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_statistics(noise_slide):
    library = ctypes.CDLL(load_op())
    assert library.ats_mag_threads() >= 1
