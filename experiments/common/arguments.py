"""The command line of the benchmarks."""

from __future__ import annotations

import argparse


def new_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a module's docstring, as it stands.

    Args:
        name: of the package or module below `experiments`.
        description: the docstring.
    """
    return argparse.ArgumentParser(
        prog=f"python -m experiments.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
