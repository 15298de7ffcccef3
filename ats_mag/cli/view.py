"""Viewing."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from ats_mag.cli.console import say
from ats_mag.cli.contradicted_mpp import note_contradicted_mpp
from ats_mag.cli.imports import Imports, import_given
from ats_mag.cli.options import TissueMasks, slide_mpp

_HOST = "127.0.0.1"


def view(
    slides: Annotated[list[Path], typer.Argument(help="Slide files, folders of them, or manifests (CSV, XLSX).")],
    model: Annotated[
        Path | None, typer.Option(help="A .keras file; default: none, and the slides are shown alone.")
    ] = None,
    mpp: Annotated[
        str | None, typer.Option(help="Resolution of level 0, um/px or \"20x\", over the files' and manifests' own.")
    ] = None,
    slide_root: Annotated[
        Path | None, typer.Option(help="Folder that a manifest's paths are relative to; default: the manifest's.")
    ] = None,
    tissue_masks: TissueMasks = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0: any that is free.")] = 0,
    lossless: Annotated[bool, typer.Option("--lossless", help="Send the slide's very pixels: larger, slower.")] = False,
    root_path: Annotated[
        str, typer.Option(metavar="PREFIX", help="Path below which a proxy shows the page, as /user/me/proxy/8500.")
    ] = "",
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Host by which a proxy may ask, besides 127.0.0.1 and localhost; repeatable."
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser.")] = False,
    modules: Imports = None,
) -> None:
    """Shows slides in the browser and, with a model, what it looks at.

    The page is served to this machine only and ends with the command (Ctrl-C). From afar: `ssh -L PORT:127.0.0.1:PORT`.
    """
    try:
        import uvicorn

        from ats_mag.viewer.connections import server_settings
        from ats_mag.viewer.server import create_app, static_file
    except ImportError as error:
        raise ImportError("the viewer needs Starlette and uvicorn: pip install 'ats-mag[view]'") from error
    from ats_mag.prediction import find_slides
    from ats_mag.viewer.background_inspection import BackgroundInspection, model_opener
    from ats_mag.viewer.behind_proxy import parse_allowed_host, parse_root_path

    import_given(modules)
    prefix, hosts = parse_root_path(root_path), [parse_allowed_host(name) for name in allowed_host or []]
    static_file("openseadragon.min.js")  # what is missing is told at once
    shown = find_slides(slides, slide_root, slide_mpp(mpp), tissue_masks)
    note_contradicted_mpp(shown)
    inspection = None if model is None else BackgroundInspection(shown, model_opener(model))
    app = create_app(shown, inspection, lossless, allowed_hosts=hosts, root_path=prefix)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, port))
        except OSError as error:
            raise OSError(
                f"port {port} cannot be had ({error.strerror}): choose another with --port, or none"
            ) from error
        address = f"http://{_HOST}:{listening.getsockname()[1]}{quote(prefix)}/"
        say(f"{len(shown)} slide(s) at {address}   (Ctrl-C ends it)")
        if browser:
            import webbrowser

            webbrowser.open(address)
        uvicorn.Server(server_settings(app)).run(sockets=[listening])
