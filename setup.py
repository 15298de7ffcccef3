"""Builds the one C++ library, the slide reading op; everything else is in pyproject.toml.

The library is a plain shared object, not a Python extension: it needs neither Python's nor TensorFlow's headers, and
one binary serves every Python and every TensorFlow that the package supports.
"""

import os
import shlex
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1, where only the wheel package had it
    from wheel.bdist_wheel import bdist_wheel

NAME = "ats_mag.slides.op._ats_mag_op"
OP = Path("ats_mag", "slides", "op")
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-pthread"]


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
    cmdclass={"build_ext": BuildOp, "bdist_wheel": PlatformWheel},
)
