"""The viewer's server: the page, the slides' tiles, and what the model says."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ats_mag.prediction import CohortSlide
from ats_mag.slides.paths import printable
from ats_mag.viewer.background_inspection import BackgroundInspection
from ats_mag.viewer.overlay import Overlay
from ats_mag.viewer.request_guard import Guard
from ats_mag.viewer.tiles import OVERLAP, TILE, DeepZoom, encode

# Nothing else is served from the disk; the names are looked up, never joined to a path.
FILES = {
    "viewer.js": "text/javascript",
    "drawing.js": "text/javascript",
    "panel.js": "text/javascript",
    "viewer.css": "text/css",
    "icon.svg": "image/svg+xml",
    "openseadragon.min.js": "text/javascript",
}
_VENDORED = "vendor"
_OPEN_SLIDES = 4  # a slide of one level keeps a picture of some megabytes


def create_app(
    slides: Sequence[CohortSlide],
    inspection: BackgroundInspection | None = None,
    lossless: bool = False,
    *,
    allowed_hosts: Sequence[str] = (),
    root_path: str = "",
) -> Starlette:
    """The application.

    Args:
        slides: that are served, by their number in this sequence; no request can name another file.
        inspection: of the same slides by a model. None: there is no model, and only the slides are shown.
        lossless: whether tiles are PNG, the slide's very pixels, instead of JPEG.
        allowed_hosts: names beside 127.0.0.1 and localhost that the server may be reached by.
        root_path: path below which a proxy shows the server, see `parse_root_path`.
    """

    opening = threading.Lock()  # or two requests at once would have one slide opened twice

    @functools.lru_cache(_OPEN_SLIDES)
    def kept(number: int) -> DeepZoom:
        return DeepZoom(slides[number].path, slides[number].mpp)

    def opened(number: int) -> DeepZoom:
        with opening:
            return kept(number)

    def slide_of(request: Request) -> int:
        number: int = request.path_params["slide"]
        if number >= len(slides):
            raise LookupError(f"there is no slide {number}")
        return number

    def page(request: Request) -> Response:
        return Response(_page(root_path), media_type="text/html")

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            raise LookupError("there is no such file")
        return Response(static_file(name), media_type=FILES[name])

    def names(request: Request) -> Response:
        return JSONResponse([printable(slide.slide_id) for slide in slides])

    def slide(request: Request) -> Response:
        return JSONResponse(_slide_values(opened(slide_of(request))))

    def tile(request: Request) -> Response:
        at = request.path_params
        pixels = opened(slide_of(request)).tile(at["level"], at["column"], at["row"])
        content, kind = encode(pixels, lossless)
        return Response(content, media_type=kind)

    def reading(request: Request) -> Response:
        return JSONResponse({"share": opened(slide_of(request)).reading})

    def look(request: Request) -> Response:
        number = slide_of(request)
        return JSONResponse({"state": "none"} if inspection is None else inspection.ask(number))

    def overlay(request: Request) -> Overlay:
        number = slide_of(request)
        if inspection is None:
            raise LookupError("there is no model")
        return inspection.overlay(number)

    def attention(request: Request) -> Response:
        layer = overlay(request).attention_png(request.path_params["magnification"])
        return Response(layer, media_type="image/png")

    def patch(request: Request) -> Response:
        picture = overlay(request).patch_png(request.path_params["patch"])
        return Response(picture, media_type="image/png")

    of_slide: dict[str, Callable[[Request], Response]] = {
        "": slide,
        "/tiles/{level:int}/{column:int}/{row:int}": tile,
        "/reading": reading,
        "/look": look,
        "/attention/{magnification:int}": attention,
        "/patches/{patch:int}": patch,
    }
    routes = [Route("/", page), Route("/static/{name}", static), Route("/slides", names)]
    routes += [Route("/slides/{slide:int}" + path, answer) for path, answer in of_slide.items()]
    handlers: dict[Any, Any] = {
        HTTPException: _refused,
        LookupError: _absent,
        OSError: _unreadable,
        ValueError: _unreadable,
    }
    guard = Middleware(Guard, allowed_hosts=allowed_hosts, root_path=root_path)
    app = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)
    app.router.redirect_slashes = False  # to an address of this machine, which is nobody's behind a proxy
    return app


def static_file(name: str) -> bytes:
    """A file of the page.

    Raises:
        FileNotFoundError: OpenSeadragon was left out when the package was installed.
    """
    folder = resources.files("ats_mag.viewer") / "static"
    vendored = name.startswith("openseadragon")
    file = folder / _VENDORED / name if vendored else folder / name
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        if not vendored:
            raise
        raise FileNotFoundError(
            "the viewer's part OpenSeadragon is not there: this package was installed without npm or without a network. "
            "Install npm (Debian and Ubuntu: `apt install npm`), then install ats-mag again"
        ) from error


def _page(root_path: str) -> bytes:
    """The page, whose addresses are relative: to the proxy's path where there is one, else to its own."""
    page = static_file("index.html")
    base = f'<base href="{quote(root_path)}/">'.encode()
    return page.replace(b"<head>", b"<head>\n" + base, 1) if root_path else page


def _slide_values(slide: DeepZoom) -> dict[str, Any]:
    info = slide.info
    return {
        "width": slide.width,
        "height": slide.height,
        "finest": slide.finest,
        "tile": TILE,
        "overlap": OVERLAP,
        "mpp": info.mpp,
        "mpp_source": info.mpp_source,
        "mpp_problem": info.mpp_problem,
        "vendor": info.vendor,
        "levels": len(info.level_dimensions),
    }


def _refused(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(error.detail, error.status_code, error.headers)


def _absent(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 404)


def _unreadable(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 422)
