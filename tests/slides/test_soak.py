"""The op under load: many slides, many threads, forks in the midst of it; all it takes stays bounded."""

import json
import shutil

import pytest
from plain_reader import run_plain

from ats_mag.slides.writing.pyramid import write_pyramid

pytestmark = pytest.mark.long
DIRECT = pytest.mark.parametrize("direct", [None, "0"], ids=["default", "openslide"])


@pytest.fixture(scope="module")
def few(folder, tissue):
    """Four slides of different pixels, two of them JPEG."""
    paths = []
    for i, compression in enumerate(["jpeg", "deflate"] * 2):
        piece = tissue[100 * i : 100 * i + 400, 50 * i : 50 * i + 500]
        paths.append(str(write_pyramid(folder / f"few{i}.tif", piece, 0.5, (1, 4), 128, compression)))
    return paths


@DIRECT
def test_memory_and_descriptors_stay_bounded_over_many_slides(few, tmp_path, direct):
    """10,000 patches of 500 slides, 16 of them open at a time."""
    for i in range(500):
        shutil.copy(few[i % 4], tmp_path / f"{i}.tif")
    measured = run_plain(
        """
        import gc, json
        folder, few = sys.argv[2], sys.argv[3:]
        def descriptors():
            return len(os.listdir("/proc/self/fd"))
        def resident():
            gc.collect()
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        before = descriptors()
        location = np.random.default_rng(0).integers(-10, 450, (1, 4, 2))
        wanted = [read([path], location)[2][0] for path in few]
        memory, most_descriptors, most_open = [], 0, 0
        for _ in range(5):
            for first in range(0, 500, 20):
                paths = [f"{folder}/{i}.tif" for i in range(first, first + 20)]
                code, message, patches, valid = read(paths, np.repeat(location, 20, 0))
                assert code == 0 and valid.all(), message
                assert all((patches[i] == wanted[(first + i) % 4]).all() for i in range(20))
                most_open = max(most_open, library.ats_mag_stats().open_slides)
                most_descriptors = max(most_descriptors, descriptors() - before)
            memory.append(resident())
        print(json.dumps({"memory": memory, "descriptors": most_descriptors, "open": most_open}))
        """,
        str(tmp_path),
        *few,
        ATS_MAG_DIRECT=direct,
        ATS_MAG_MAX_OPEN_SLIDES="16",
        ATS_MAG_THREADS="4",
        ATS_MAG_CACHE_BYTES=str(8 << 20),
    )
    found = json.loads(measured)
    assert found["open"] == 16
    assert found["descriptors"] <= 16 + 8
    assert max(found["memory"][1:]) - found["memory"][0] < 8 << 20


@DIRECT
@pytest.mark.parametrize("most", ["2", "64"])
def test_sixteen_threads_on_four_slides(few, direct, most):
    """With fewer slides open than read, handles leave the set while others use them."""
    run_plain(
        """
        from concurrent.futures import ThreadPoolExecutor
        few = sys.argv[2:]
        places = np.random.default_rng(0).integers(-20, 480, (64, 2, 25, 2))
        slides = np.random.default_rng(1).integers(0, 4, (64, 2))
        def one(i):
            return read([few[k] for k in slides[i]], places[i])
        alone = [one(i) for i in range(64)]
        with ThreadPoolExecutor(16) as pool:
            together = list(pool.map(one, list(range(64)) * 6))
        for i, (code, message, patches, valid) in enumerate(together):
            assert code == 0 and valid.all(), message
            assert (patches == alone[i % 64][2]).all()
        assert library.ats_mag_stats().open_slides == min(4, int(os.environ["ATS_MAG_MAX_OPEN_SLIDES"]))
        """,
        *few,
        ATS_MAG_DIRECT=direct,
        ATS_MAG_MAX_OPEN_SLIDES=most,
        ATS_MAG_THREADS="4",
    )


@DIRECT
def test_children_forked_while_threads_read(few, direct):
    """Whatever lock another thread holds at that moment; and the parent reads on."""
    run_plain(
        """
        import multiprocessing, threading
        few = sys.argv[2:]
        places = np.random.default_rng(0).integers(-20, 480, (4, 25, 2))
        wanted = read(few, places)[2]
        def same():
            code, message, patches, _ = read(few, places)
            return code == 0 and (patches == wanted).all()
        def check(count):
            sys.exit(0 if all([same() for _ in range(count)]) else 1)
        done, wrong = threading.Event(), []
        def keep_reading():
            while not done.is_set():
                if not same():
                    wrong.append(1)
        threads = [threading.Thread(target=keep_reading) for _ in range(3)]
        for thread in threads:
            thread.start()
        fork = multiprocessing.get_context("fork")
        try:
            for _ in range(6):
                children = [fork.Process(target=check, args=(3,)) for _ in range(3)]
                for child in children:
                    child.start()
                for child in children:
                    child.join(60)
                    assert child.exitcode == 0, child.exitcode
        finally:
            done.set()
            for thread in threads:
                thread.join()
            for child in multiprocessing.active_children():
                child.kill()
        assert not wrong and same()
        """,
        *few,
        ATS_MAG_DIRECT=direct,
        ATS_MAG_THREADS="3",
    )


@DIRECT
@pytest.mark.parametrize("kind", [0, 1], ids=["jpeg", "deflate"])
def test_a_slide_that_is_deleted_cut_and_replaced_between_reads(few, tmp_path, direct, kind):
    run_plain(
        """
        import shutil
        path, first, second = sys.argv[2:]
        places = np.random.default_rng(0).integers(-20, 380, (1, 30, 2))
        old, new = [read([slide], places)[2] for slide in (first, second)]
        assert (old != new).any()
        def check(wanted):
            code, message, patches, _ = read([path], places)
            assert code == 0 and (patches == wanted).all(), message
        for _ in range(3):
            shutil.copy(first, path)
            os.utime(path, (1, 1))
            check(old)
            os.remove(path)
            code, message, *_ = read([path], places)
            assert code == 5 and path in message, (code, message)
            shutil.copy(second, path)
            check(new)
            shutil.copy(first, path + ".new")
            os.replace(path + ".new", path)
            check(old)
            for size in (os.path.getsize(path) // 2, 100, 0):
                os.truncate(path, size)
                code, message, patches, valid = read([path], places)
                assert code in (3, 15) and path in message, (code, message)
                code, message, patches, valid = read([path], places, fill=True)
                assert code == 0 and (patches[~valid] == 255).all(), message
                assert (patches[valid] == old[valid]).all()
            with open(path, "r+b") as file:  # the same file, with other content
                file.write(open(second, "rb").read())
            check(new)
        """,
        str(tmp_path / "changing.tif"),
        few[kind],
        few[kind + 2],
        ATS_MAG_DIRECT=direct,
        ATS_MAG_THREADS="4",
    )


@DIRECT
@pytest.mark.parametrize("kind", [0, 1], ids=["jpeg", "deflate"])
def test_a_slide_that_changes_under_a_read(few, tmp_path, direct, kind):
    """Pixels or an error that names it, never a crash, and none of it lasts.

    OpenSlide opens the file by its path for every read, so that what is read meanwhile may mix both. A file that
    vanishes between the op's two looks at it is reported as one without permission (7).
    """
    run_plain(
        """
        import shutil, threading, time
        path, first, second = sys.argv[2:]
        places = np.random.default_rng(0).integers(-20, 380, (1, 30, 2))
        wanted = [read([slide], places)[2] for slide in (first, second)]
        shutil.copy(first, path)
        done, counts, faults = threading.Event(), [0, 0], []
        def keep_reading(fill):
            while not done.is_set():
                code, message, patches, valid = read([path], places, fill)
                counts[code != 0] += 1
                if code not in ((0,) if fill else (0, 3, 5, 7, 15)) or code and path not in message:
                    faults.append((code, message))
                if code == 0 and (patches[~valid] != 255).any():
                    faults.append("an invalid patch is not white")
        threads = [threading.Thread(target=keep_reading, args=(fill,)) for fill in (False, False, True)]
        for thread in threads:
            thread.start()
        content = open(second, "rb").read()
        for i in range(150):
            reads = sum(counts)
            while sum(counts) == reads:  # so that reads fall between the changes
                time.sleep(0)
            if i % 5 == 0:
                os.truncate(path, len(content) // 3)
            elif i % 5 == 1:
                with open(path, "r+b") as file:
                    file.write(content)
            elif i % 5 == 2:
                os.truncate(path, 0)
            elif i % 5 == 3:
                os.remove(path)
            else:
                shutil.copy((first, second)[i % 2], path + ".new")
                os.replace(path + ".new", path)
        for slide, pixels in [(first, wanted[0]), (second, wanted[1])]:
            shutil.copy(slide, path + ".new")
            os.replace(path + ".new", path)
            code, message, patches, _ = read([path], places)
            assert code == 0 and (patches == pixels).all(), message
        done.set()
        for thread in threads:
            thread.join()
        assert not faults, faults[:3]
        assert min(counts) > 0, counts
        """,
        str(tmp_path / "changing.tif"),
        few[kind],
        few[kind + 2],
        ATS_MAG_DIRECT=direct,
        ATS_MAG_THREADS="4",
    )
