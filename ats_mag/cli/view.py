"""Viewing."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ats_mag.cli.console import SlideRoot, console

if TYPE_CHECKING:
    from ats_mag.viewer.looks import ViewedSlide

_HOST = "127.0.0.1"
_TABLES = (".csv", ".tsv", ".txt", ".xlsx")
_AT_ONCE = 64  # requests; more are refused, a browser makes six


def view(
    slides: Annotated[list[Path], typer.Argument(help="Slide files, or manifests that name some.")],
    model: Annotated[Path, typer.Option(help="A .keras file.")],
    mpp: Annotated[
        str | None, typer.Option(help="Resolution of level 0, um/px or \"20x\", over the files' and manifests' own.")
    ] = None,
    slide_root: SlideRoot = Path("."),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0: any that is free.")] = 0,
    lossless: Annotated[bool, typer.Option("--lossless", help="Send the slide's very pixels: larger, slower.")] = False,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser.")] = False,
) -> None:
    """Shows slides in the browser, with what the model looks at.

    The page is served to this machine only and ends with the command (Ctrl-C). From afar: `ssh -L PORT:127.0.0.1:PORT`.
    """
    try:
        import uvicorn

        from ats_mag.viewer.server import create_app, static_file
    except ImportError as error:
        raise ImportError("the viewer needs Starlette and uvicorn: pip install 'ats-mag[view]'") from error
    from ats_mag.viewer.looks import Looks, model_opener

    static_file("openseadragon.min.js")  # what is missing is told at once
    shown = _slides(slides, slide_root, mpp)
    app = create_app(shown, Looks(shown, model_opener(model)), lossless)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, port))
        except OSError as error:
            raise OSError(
                f"port {port} cannot be had ({error.strerror}): choose another with --port, or none"
            ) from error
        address = f"http://{_HOST}:{listening.getsockname()[1]}/"
        console.print(f"{len(shown)} slide(s) at {address}   (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        if browser:
            import webbrowser

            webbrowser.open(address)
        settings = {"log_level": "warning", "server_header": False, "limit_concurrency": _AT_ONCE, "ws": "none"}
        uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=1, **settings)).run(sockets=[listening])


def _slides(paths: list[Path], root: Path, mpp: str | None) -> list[ViewedSlide]:
    """The slides of the command line, those of manifests in their place.

    Raises:
        FileNotFoundError, ValueError: one is not there; or see `read_manifest` and `parse_mpp`.
    """
    from ats_mag.units import parse_mpp
    from ats_mag.viewer.looks import ViewedSlide

    given = None if mpp is None else parse_mpp(mpp)
    found = []
    for path in paths:
        if path.suffix.lower() not in _TABLES:
            found.append(ViewedSlide(path.name, str(path), given))
            continue
        from ats_mag.manifest import read_manifest

        for row in read_manifest(path, slides=root).itertuples():
            own = None if row.mpp != row.mpp else float(row.mpp)  # NaN: the file's own
            found.append(ViewedSlide(str(row.slide_id), str(root / str(row.path)), own if given is None else given))
    for slide in found:
        if not Path(slide.path).exists():
            raise FileNotFoundError(f"slide {slide.path!r} does not exist")
    return found
