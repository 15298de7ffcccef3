"""Local copies: whole, bounded, least recently used out first, whoever shares the folder."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.slides.copies import copy_folder
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.slides.reader import read_patches
from ats_mag.slides.writing.pyramid import write_pyramid


def sources(folder, sizes):
    """Files of these sizes, each of its own bytes."""
    paths = []
    for i, size in enumerate(sizes):
        path = Path(folder) / f"slide {i}.svs"
        path.write_bytes(bytes([i + 1]) * size)
        paths.append(str(path))
    return paths


def kept(folder):
    """What lies in the folder of copies, but for its lock."""
    return {path.name: path for path in Path(folder).iterdir() if path.name != ".lock"}


def total(folder):
    return sum(path.stat().st_size for path in kept(folder).values())


@pytest.fixture
def slides(tmp_path):
    (tmp_path / "far").mkdir()
    return sources(tmp_path / "far", [100] * 8)


@pytest.fixture
def near(tmp_path):
    return tmp_path / "near"


@settings(deadline=None, max_examples=examples(60))
@given(st.data())
def test_the_bound_holds_and_the_least_recently_used_leaves(data):
    sizes = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=6))
    bound = data.draw(st.integers(1, 120))
    requests = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=20))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        (Path(folder) / "far").mkdir()
        near = Path(folder) / "near"
        paths = sources(Path(folder) / "far", sizes)
        window = LocalCopies(near, bound).window(1)
        copy_bytes = copy_folder.copy_bytes

        def watched(reader, writer, size):
            assert total(near) <= bound
            copy_bytes(reader, writer, size)
            writer.flush()
            assert total(near) <= bound

        patch.setattr(copy_folder, "copy_bytes", watched)
        expected = []  # the least recently used first
        for i in requests:
            answer = window.path(paths[i])
            assert Path(answer).read_bytes() == Path(paths[i]).read_bytes()
            assert (answer == paths[i]) == (sizes[i] > bound)
            if sizes[i] <= bound:
                expected = [j for j in expected if j != i] + [i]
                while sum(sizes[j] for j in expected) > bound:
                    expected.pop(0)
            assert sorted(name.partition("-")[2] for name in kept(near)) == [f"slide {j}.svs" for j in sorted(expected)]
            assert total(near) <= bound
        window.close()


def test_copies_in_a_window_stay_whoever_asks(slides, near):
    mine, theirs = LocalCopies(near, 450), LocalCopies(near, 450)
    window, other = mine.window(3), theirs.window(1)
    first, *rest = [window.path(slide) for slide in slides[:3]]
    rest += [other.path(slides[3]), window.path(slides[4])]
    assert not Path(first).exists()  # the window has moved on
    with pytest.warns(RuntimeWarning, match=r"slide 5\.svs' is read from its original place.*fill the bound") as caught:
        assert [theirs.window(1).path(slide) for slide in slides[5:7]] == slides[5:7]
    assert len(caught) == 1
    assert all(Path(path).parent == near and Path(path).exists() for path in rest)
    window.close()
    assert Path(theirs.window(1).path(slides[5])).parent == near
    assert Path(rest[2]).exists()


def test_a_smaller_bound_holds_from_the_start(slides, near):
    window = LocalCopies(near, 800).window(1)
    for slide in slides:
        window.path(slide)
    window.close()
    LocalCopies(near, 250)
    assert sorted(name.partition("-")[2] for name in kept(near)) == ["slide 6.svs", "slide 7.svs"]


def test_asking_again_leaves_the_copy_as_it_is(slides, near):
    """The op would open it anew, if it looked changed."""
    window = LocalCopies(near, 800).window(1)
    before = os.stat(window.path(slides[0]))
    after = os.stat(window.path(slides[0]))
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    assert after.st_atime_ns > before.st_atime_ns


def test_threads_copy_each_slide_once(slides, near, monkeypatch):
    made = []
    copy_bytes = copy_folder.copy_bytes
    monkeypatch.setattr(copy_folder, "copy_bytes", lambda r, w, s: (made.append(r.name), copy_bytes(r, w, s)))
    window = LocalCopies(near, 800).window(40)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(window.path, slides * 5))
    assert sorted(made) == sorted(slides)
    for slide, answer in zip(slides * 5, answers, strict=True):
        assert Path(answer).parent == near
        assert Path(answer).read_bytes() == Path(slide).read_bytes()


def test_threads_with_little_room(slides, near):
    copies = LocalCopies(near, 500)

    def ask(seed):
        window = copies.window(1)
        for slide in random.Random(seed).choices(slides, k=60):
            assert Path(window.path(slide)).read_bytes() == Path(slide).read_bytes()
            with copies._copies._locked():
                assert total(near) <= 500
        window.close()

    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("ignore", RuntimeWarning)  # eight windows do not fit at every moment
        list(pool.map(ask, range(8)))
    assert not [name for name in kept(near) if name.startswith(".")]


def run(code, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_processes_share_a_folder(slides, near):
    code = """
        import random, sys
        from pathlib import Path
        from ats_mag.slides.copies.local_copies import LocalCopies
        near, seed, *slides = sys.argv[1:]
        copies = LocalCopies(near, 500)
        window = copies.window(2)
        near_by = 0
        for slide in random.Random(int(seed)).choices(slides, k=150):
            answer = window.path(slide)
            assert Path(answer).read_bytes() == Path(slide).read_bytes()
            near_by += answer != slide
            with copies._copies._locked():
                files = [path for path in Path(near).iterdir() if path.name != ".lock"]
                assert sum(path.stat().st_size for path in files) <= 500
        assert near_by > 30, near_by
    """
    children = [run(code, near, seed, *slides) for seed in range(4)]
    for child in children:
        output, _ = child.communicate(timeout=60)
        assert child.returncode == 0, output
    assert not [name for name in kept(near) if name.startswith(".")]


def test_what_a_killed_process_leaves_is_removed(slides, near):
    code = """
        import os, signal, sys
        from ats_mag.slides.copies import copy_folder
        from ats_mag.slides.copies.local_copies import LocalCopies
        def half(reader, writer, size):
            writer.write(reader.read(size // 2))
            writer.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        window = LocalCopies(sys.argv[1], 250).window(2)
        window.path(sys.argv[2])
        copy_folder.copy_bytes = half
        window.path(sys.argv[3])
    """
    child = run(code, near, *slides[:2])
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert sorted(name[0] == "." for name in kept(near)) == [False, True]
    window = LocalCopies(near, 250).window(2)
    assert len(kept(near)) == 1
    assert Path(window.path(slides[1])).read_bytes() == Path(slides[1]).read_bytes()
    window.path(slides[2])  # takes the place of the one that the dead process held
    assert sorted(name.partition("-")[2] for name in kept(near)) == ["slide 1.svs", "slide 2.svs"]


def test_a_copy_of_a_process_killed_meanwhile_is_made_anew(slides, near, monkeypatch):
    window = LocalCopies(near, 250).window(2)
    name = Path(window.path(slides[0])).name
    window.close()
    os.replace(near / name, near / f".{name}.tmp")  # as if killed halfway, after this process had begun
    (near / f".{name}.tmp").write_bytes(b"half")
    window = LocalCopies(near, 250).window(2)
    assert Path(window.path(slides[0])).read_bytes() == Path(slides[0]).read_bytes()
    assert set(kept(near)) == {name}


def test_a_changed_slide_gets_a_new_copy(slides, near):
    window = LocalCopies(near, 800).window(1)
    before = window.path(slides[0])
    Path(slides[0]).write_bytes(b"new" * 40)
    after = window.path(slides[0])
    assert after != before
    assert Path(after).read_bytes() == b"new" * 40


def test_a_slide_of_the_same_size_and_time_but_other_content_gets_a_new_copy(slides, near):
    window = LocalCopies(near, 800).window(1)
    before = window.path(slides[0])
    state = os.stat(slides[0])
    Path(slides[0]).write_bytes(b"x" * 100)
    os.utime(slides[0], ns=(state.st_atime_ns, state.st_mtime_ns))
    assert window.path(slides[0]) != before
    assert Path(window.path(slides[0])).read_bytes() == b"x" * 100


def test_a_touched_or_moved_slide_keeps_its_copy(tmp_path, slides, near, monkeypatch):
    copies = LocalCopies(near, 800)
    before = copies.window(1).path(slides[0])
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "s.mrxs"
    folder.write_bytes(b"index")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "Data0000.dat").write_bytes(b"data")
    with_folder = copies.window(1).path(folder)

    def never(*_):
        raise AssertionError("it was copied again")

    monkeypatch.setattr(copy_folder, "copy_bytes", never)
    os.utime(slides[0], ns=(7, 7))
    assert copies.window(1).path(slides[0]) == before
    moved = shutil.move(slides[0], tmp_path / "elsewhere")
    assert LocalCopies(near, 800).window(1).path(moved) == before
    os.utime(tmp_path / "s" / "Data0000.dat", ns=(7, 7))
    assert copies.window(1).path(folder) == with_folder
    assert copies.sources[before] == slides[0]


def test_slides_of_one_name_and_equal_ends_are_told_apart(tmp_path, near):
    window = LocalCopies(near, 10**7).window(2)
    copies = []
    for folder, tissue in (("a", 0), ("b", 200_000)):  # both begin and end with white, as without compression
        (tmp_path / folder).mkdir()
        slide = tmp_path / folder / "slide.tif"
        slide.write_bytes(bytes([255]) * (300_000 + tissue) + bytes(100_000) + bytes([255]) * (500_000 - tissue))
        copies.append(window.path(slide))
        assert Path(copies[-1]).read_bytes() == slide.read_bytes()
    assert copies[0] != copies[1]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_copy_leaves_nothing(slides, near, monkeypatch, code):
    def fail(reader, writer, size):
        writer.write(reader.read(size // 2))
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(copy_folder, "copy_bytes", fail)
    window = LocalCopies(near, 800).window(1)
    with pytest.warns(RuntimeWarning, match=rf"slide 0\.svs' is read from its original.*{os.strerror(code)}") as caught:
        assert [window.path(slide) for slide in slides[:3]] == slides[:3]
    assert len(caught) == 1
    assert kept(near) == {}


def test_an_interrupted_copy_leaves_nothing(slides, near, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(copy_folder, "copy_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        LocalCopies(near, 800).window(1).path(slides[0])
    assert kept(near) == {}


def test_a_disk_smaller_than_the_bound(slides, near, monkeypatch):
    disk = 250  # bytes that the disk has for copies

    def usage(folder):
        return shutil._ntuple_diskusage(disk, total(near), disk - total(near))

    window = LocalCopies(near, 800).window(1)
    monkeypatch.setattr(shutil, "disk_usage", usage)
    for slide in slides:
        assert Path(window.path(slide)).parent == near
        assert total(near) <= disk
    disk = 50
    with pytest.warns(RuntimeWarning, match="or the disk"):
        assert window.path(slides[0]) == slides[0]


def test_a_slide_that_changes_under_way_is_no_copy(slides, near, monkeypatch):
    copy_bytes = copy_folder.copy_bytes

    def change(reader, writer, size):
        copy_bytes(reader, writer, size)
        os.utime(reader.name, ns=(0, 0))

    monkeypatch.setattr(copy_folder, "copy_bytes", change)
    with pytest.warns(RuntimeWarning, match="changed while it was copied"):
        assert LocalCopies(near, 800).window(1).path(slides[0]) == slides[0]
    assert kept(near) == {}


def test_slides_that_are_not_copied(tmp_path, slides, near):
    (tmp_path / "a.dcm").write_bytes(b"x")
    (tmp_path / "b.dcm").write_bytes(b"x")
    window = LocalCopies(near, 90).window(1)
    for path, reason in (("a.dcm", "the kind '.dcm' may lie in several files"), (slides[0], "raise the bound")):
        with pytest.warns(RuntimeWarning, match=reason):
            assert window.path(tmp_path / path) == str(tmp_path / path)
    for path in (tmp_path / "b.dcm", slides[1], tmp_path / "none.svs"):  # warned of already, or the reader's error
        assert window.path(path) == str(path)
    assert kept(near) == {}


def test_an_mrxs_slide_is_copied_with_its_folder(tmp_path, slides, near):
    (tmp_path / "m.mrxs").write_bytes(b"main")
    (tmp_path / "m" / "deep").mkdir(parents=True)
    (tmp_path / "m" / "Slidedat.ini").write_bytes(b"x" * 40)
    (tmp_path / "m" / "deep" / "Data0.dat").write_bytes(b"y" * 50)
    window = LocalCopies(near, 240).window(1)
    copy = Path(window.path(tmp_path / "m.mrxs"))
    assert (copy.parent, copy.suffix, copy.read_bytes()) == (near, ".mrxs", b"main")
    assert (copy.with_suffix("") / "Slidedat.ini").read_bytes() == b"x" * 40
    assert (copy.with_suffix("") / "deep" / "Data0.dat").read_bytes() == b"y" * 50
    (tmp_path / "m" / "Slidedat.ini").write_bytes(b"z" * 41)
    second = Path(window.path(tmp_path / "m.mrxs"))
    assert second != copy
    assert set(kept(near)) == {p.name for c in (copy, second) for p in (c, c.with_suffix(""))}
    window.path(slides[0])
    assert set(kept(near)) == {second.name, second.stem} | {p for p in kept(near) if p.endswith(".svs")}
    window.close()
    second.unlink()  # as a process killed between the two would leave it
    LocalCopies(near, 240)
    assert all(name.endswith(".svs") for name in kept(near))


def test_other_files_are_left_alone(slides, near):
    near.mkdir()
    for name in ("notes.txt", "0123-slide.svs", ".other.tmp"):
        (near / name).write_bytes(b"x" * 1000)
    window = LocalCopies(near, 100).window(1)
    for slide in slides[:3]:
        assert Path(window.path(slide)).parent == near
    assert {"notes.txt", "0123-slide.svs", ".other.tmp"} < set(kept(near))
    assert len(kept(near)) == 4


def test_bad_arguments(slides, near):
    for bound in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=r"`max_bytes`.*Received: max_bytes="):
            LocalCopies(near, bound)
    with pytest.raises(NotADirectoryError, match=r"slide 0\.svs' is a file: name a folder"):
        LocalCopies(slides[0], 100)
    with pytest.raises(ValueError, match="`requests` must be at least 1"):
        LocalCopies(near, 100).window(0)


def test_names(tmp_path, near):
    copies = LocalCopies(near, 1000)
    window = copies.window(1)
    for stem in ("ü" * 100, "a" * 200, "a b.c", "\udcff"):
        slide = tmp_path / f"{stem}.tif"
        slide.write_bytes(b"x")
        copy = window.path(slide)
        assert Path(copy).read_bytes() == b"x"
        assert copies.longest_path(str(slide)) == max(len(os.fsencode(str(slide))), len(os.fsencode(copy)))


def test_pixels_are_the_same(tmp_path, near, tissue_slide, tissue):
    """While a copy is held; after it has left, as it is made anew; and of a slide that changes."""
    window = LocalCopies(near, 10**7).window(1)
    places = np.random.default_rng(0).integers(0, 800, (1, 10, 2))
    copy = window.path(tissue_slide)
    assert copy != tissue_slide
    want = read_patches([tissue_slide], places, 1.7, (32, 32)).numpy()
    np.testing.assert_array_equal(read_patches([copy], places, 1.7, (32, 32)), want)
    LocalCopies(near, 1)  # removes all that is not held
    np.testing.assert_array_equal(read_patches([copy], places, 1.7, (32, 32)), want)
    window.close()
    LocalCopies(near, 1)
    with pytest.raises(tf.errors.NotFoundError, match=r"-tissue\.tif"):
        read_patches([copy], places, 1.7, (32, 32))
    again = LocalCopies(near, 10**7).window(1)
    assert again.path(tissue_slide) == copy
    np.testing.assert_array_equal(read_patches([copy], places, 1.7, (32, 32)), want)
    path = write_pyramid(tmp_path / "s.tif", tissue[:300, :300], 0.5)
    first = read_patches([again.path(path)], [[[0, 0]]], 1.0, (32, 32)).numpy()
    write_pyramid(path, tissue[200:500, :300], 0.5)
    second = read_patches([again.path(path)], [[[0, 0]]], 1.0, (32, 32)).numpy()
    np.testing.assert_array_equal(second, read_patches([str(path)], [[[0, 0]]], 1.0, (32, 32)))
    assert (first != second).any()
