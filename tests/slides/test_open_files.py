"""The number of files that may be open is the machine's, not a slide's fault: handles are given back, or the limit is named."""

import itertools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from ats_mag.slides.errors import TooManyOpenFiles, exception_of
from ats_mag.slides.writing.pyramid import write_pyramid

_COUNT = 200

_READ = """
import os, resource, sys
import numpy as np
from ats_mag.slides import numpy_reader
from ats_mag.slides.paths import encode_paths

folder, count, limit, more, fill = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
paths = [f"{folder}/{i}.tif" for i in range(count)]

def read(some):
    places = np.full((len(some), 2, 2), 50)
    return numpy_reader.read_patches(encode_paths(some), places, np.array([[1.0, 3.0]] * len(some)), (32, 32), fill)

reference = read(paths[:1])[0]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(more)]  # what else the process has open
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    for compression in ("jpeg", "deflate"):  # read here, and through OpenSlide
        (folder / compression).mkdir()
        first = write_pyramid(folder / compression / "0.tif", image, 0.5, (1, 4), compression=compression)
        for i in range(1, _COUNT):
            os.link(first, folder / compression / f"{i}.tif")
    return folder


def _run(many, compression, limit, more, fill, body):
    script = textwrap.dedent(_READ) + textwrap.dedent(body)
    arguments = map(str, (many / compression, _COUNT, limit, more, fill))
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("limit", "compression", "fill"),
    [
        (24, "jpeg", "raise"),
        (80, "deflate", "fill"),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in itertools.product((24, 80), ("jpeg", "deflate"), ("raise", "fill"))
            if each not in ((24, "jpeg", "raise"), (80, "deflate", "fill"))
        ),
    ],
)
def test_more_slides_than_files_may_be_open(many, compression, limit, fill):
    _run(
        many, compression, limit, 5, fill,
        """
        for some in [[path] for path in paths] + [paths[:64], paths, paths[::-1]]:
            patches, valid = read(some)
            assert valid.all()
            assert (patches == reference).all()
        """,
    )  # fmt: skip


@pytest.mark.parametrize("fill", ["raise", "fill"])
def test_where_nothing_can_be_given_back_the_limit_is_named(many, fill):
    """With `fill`, too: nothing is wrong with the bytes of the slide."""
    out = _run(
        many, "jpeg", 40, 0, fill,
        """
        def open_all():
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                return
        open_all()
        for _ in range(2):
            try:
                read(paths[1:4])
            except RuntimeError as error:
                print(type(error).__name__, error)
            open_all()
        for descriptor in held:
            os.close(descriptor)
        patches, valid = read(paths)
        assert valid.all() and (patches == reference).all()
        """,
    )  # fmt: skip
    lines = out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("TooManyOpenFiles cannot open slide ")
        assert "may have 40 of them: raise the limit (`ulimit -n" in line
        assert "damaged" not in line


def test_the_limit_is_no_error_of_a_slide():
    error = exception_of(8, "cannot open slide 'a.tif': too many open files; ...")
    assert isinstance(error, TooManyOpenFiles)
    assert not isinstance(error, OSError), "which callers take for a slide that cannot be read"
    assert isinstance(exception_of(8, "out of memory while reading slides"), MemoryError)
