"""Builds the one C++ library, the slide reading op, and fetches the viewer's OpenSeadragon; the rest is in pyproject.toml.

The library is a plain shared object, not a Python extension: it needs neither Python's nor TensorFlow's headers, and
one binary serves every Python and every TensorFlow that the package supports.

OpenSeadragon is a package of npm; no part of it is kept here. Without npm, or a network, everything but `ats-mag view` works.
"""

import base64
import hashlib
import os
import shlex
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1, where only the wheel package had it
    from wheel.bdist_wheel import bdist_wheel

NAME = "ats_mag.slides.op._ats_mag_op"
OP = Path("ats_mag", "slides", "op")
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-pthread"]

VIEWER = Path("ats_mag", "viewer", "static", "vendor")
OPENSEADRAGON = "openseadragon@6.1.1"
INTEGRITY = "sha512-g4iKe2q8B642SaBT3+x4ZF3/8b1TxPPydyjmtrOLgDrlYWMKd9ZXM+1Cb/xa9DVySkvs/7l6HR1nHKfD5F3Tsw=="  # npm's
WANTED = ("package/build/openseadragon/openseadragon.min.js", "package/LICENSE.txt")


class BuildOp(build_ext):
    """Compiles with g++, or what `CXX` and `CXXFLAGS` say."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"  # no suffix of a Python version

    def build_extension(self, ext: Extension) -> None:
        compiler = shlex.split(os.environ.get("CXX", "")) or ["g++"]
        flags = [*FLAGS, *shlex.split(os.environ.get("CXXFLAGS", ""))]
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        command = [*compiler, *flags, "-shared", *ext.sources, "-o", str(unfinished), "-ldl"]
        self.announce(shlex.join(command), level=2)
        try:
            subprocess.run(command, check=True)
            os.replace(unfinished, target)  # a process that has the old library loaded keeps it
        except FileNotFoundError as error:
            raise SystemExit(
                f"ats_mag needs a C++17 compiler to build its slide reader, and {compiler[0]!r} was not found. "
                "Install one (Debian and Ubuntu: `apt install g++`) or name yours in the environment variable CXX."
            ) from error
        except subprocess.CalledProcessError as error:
            raise SystemExit(
                f"ats_mag: the compiler failed; its messages are above. Command: {shlex.join(command)}"
            ) from error
        finally:
            unfinished.unlink(missing_ok=True)


class BuildViewer(Command):
    """Fetches OpenSeadragon with npm, checks it, and puts the script and its licence into the package."""

    user_options: ClassVar = []
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_lib = None

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        folder = VIEWER if self.editable_mode else Path(self.build_lib, VIEWER)
        done = folder / "VERSION"  # written last
        if done.exists() and done.read_text().strip() == OPENSEADRAGON:
            return
        with tempfile.TemporaryDirectory() as scratch:
            command = ["npm", "pack", "--silent", "--pack-destination", scratch, OPENSEADRAGON]
            try:
                subprocess.run(command, check=True, cwd=scratch, stdout=subprocess.DEVNULL, timeout=300)
            except (OSError, subprocess.SubprocessError) as error:
                self.warn(
                    f"`ats-mag view` is left out, as OpenSeadragon could not be fetched ({error}). To have it, install npm "
                    "(Debian and Ubuntu: `apt install npm`) and install ats-mag again"
                )
                return
            (packed,) = Path(scratch).glob("*.tgz")
            found = "sha512-" + base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
            if found != INTEGRITY:
                raise SystemExit(f"npm gave another {OPENSEADRAGON} than expected: {found} instead of {INTEGRITY}")
            folder.mkdir(parents=True, exist_ok=True)
            with tarfile.open(packed) as archive:
                for name in WANTED:
                    (folder / Path(name).name).write_bytes(archive.extractfile(name).read())
            done.write_text(OPENSEADRAGON + "\n")

    def get_source_files(self) -> list[str]:
        return []

    def get_outputs(self) -> list[str]:
        return [str(Path(self.build_lib, VIEWER, Path(name).name)) for name in (*WANTED, "VERSION")]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):
    """As it was, and the viewer's part."""

    sub_commands: ClassVar = [*build.sub_commands, ("build_viewer", None)]


class PlatformWheel(bdist_wheel):
    """Tags the wheel for this platform but for any Python 3."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[
        Extension(
            NAME,
            sources=sorted(str(source) for source in OP.glob("*.cc")),
            depends=sorted(str(header) for header in OP.glob("*.h")),
        )
    ],
    cmdclass={"build": Build, "build_ext": BuildOp, "build_viewer": BuildViewer, "bdist_wheel": PlatformWheel},
)
