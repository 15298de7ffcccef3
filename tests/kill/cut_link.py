"""Cuts the network between the two processes of a training, and compares what it ends with: `cut_link.py`, as root, with iproute2.

The processes lie in two network namespaces with addresses of their own, which one pair of virtual interfaces joins. Its cut must end both
processes within the bound, each naming the other; with the link mended, the same command must end with the weights and history of a
training whose link was not cut, to the bit.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from kill.host_kills import GRACE, SETTINGS, begun, compare  # noqa: E402
from kill.host_processes import SILENCE, start  # noqa: E402
from made_run import prepare_slides, write_config, write_slides  # noqa: E402

NAMES = [f"ats-{os.getpid()}-{k}" for k in range(2)]
ADDRESSES = "10.203.7.1:23456,10.203.7.2:23456"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def two_networks():
    """Two namespaces that one link joins."""
    links = [f"ats{os.getpid() % 100000}{k}" for k in "ab"]
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", links[0], "type", "veth", "peer", "name", links[1])
        for k, (name, link) in enumerate(zip(NAMES, links, strict=True)):
            ip("link", "set", link, "netns", name)
            ip("-n", name, "addr", "add", f"10.203.7.{k + 1}/24", "dev", link)
            for device in (link, "lo"):
                ip("-n", name, "link", "set", device, "up")
        yield links
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False)


def begin(config):
    return [start(ADDRESSES, k, config, before=("ip", "netns", "exec", name)) for k, name in enumerate(NAMES)]


def finish(processes):
    errors = [process.communicate()[1].decode(errors="replace") for process in processes]
    assert not any(process.returncode for process in processes), "\n".join(errors)


def cut(folder):
    """The seconds that each process took to end after the cut."""
    whole, broken = (write_config(folder, folder / name, **SETTINGS) for name in ("joined", "cut"))
    with two_networks() as links:
        finish(begin(whole))
        processes = begin(broken)
        while begun(folder / "cut") < 2 and all(process.poll() is None for process in processes):
            time.sleep(0.01)
        ip("-n", NAMES[1], "link", "set", links[1], "down")
        at, seconds = time.monotonic(), []
        for k, process in enumerate(processes):
            _, error = process.communicate(timeout=SILENCE + GRACE)
            seconds.append(time.monotonic() - at)
            assert process.returncode
            assert f"host {1 - k} (10.203.7.{2 - k}:23456)" in error.decode(), error.decode()
        ip("-n", NAMES[1], "link", "set", links[1], "up")
        ip("-n", NAMES[1], "addr", "replace", "10.203.7.2/24", "dev", links[1])
        finish(begin(broken))
    compare(folder / "joined", folder / "cut")
    return seconds


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_slides(folder)
        prepare_slides(folder)
        print(
            "the processes ended",
            " and ".join(f"{s:.1f} s" for s in cut(folder)),
            "after the cut, and went on to the bit",
        )


if __name__ == "__main__":
    main()
