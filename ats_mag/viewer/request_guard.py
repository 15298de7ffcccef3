"""What the viewer's server refuses before it looks at a request any further."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST = 200  # bytes of a path and its query; the page asks for nothing longer
HOSTS = ("127.0.0.1", "localhost")
_PORT = re.compile(r":\d*$")
_EMPTY = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"  # of no style at all: a mark for OpenSeadragon, see index.html
# A page of another origin may neither read what is served nor show it, and ours loads nothing from elsewhere. Slides stay
# out of the browser's cache on disk.
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'self'; style-src 'self' {_EMPTY}; img-src 'self'; "
    "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses foreign hosts, other sites' pages, other methods than GET and absurd addresses; adds `HEADERS` to every answer.

    A page of the internet can make a browser ask this machine for things; under a name of its own that leads here (DNS
    rebinding) it could even read the answers. Such requests carry that name as their host.

    Args:
        app: what answers the rest.
        allowed_hosts: names beside `HOSTS` that the server may be reached by, as a proxy hands them on.
        root_path: path below which a proxy shows the server. Requests may come with or without it: proxies do either.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str] = (), root_path: str = "") -> None:
        self._app = app
        self._hosts = {*HOSTS, *allowed_hosts}
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":  # a WebSocket: not accepting it closes it
            return None

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        page = self._root_path + "/"
        path = page if scope["path"] == self._root_path else scope["path"]
        scope = {**scope, "path": path, "root_path": self._root_path}
        refusal = self._refusal(scope, is_page=path in ("/", page))
        return await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, is_page: bool) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _PORT.sub("", hosts[0]).lower() not in self._hosts:
            names = " and ".join([*HOSTS, *sorted(self._hosts - {*HOSTS})])
            return PlainTextResponse(
                f"this server answers to {names} only; behind a proxy, name its host with --allowed-host", 421
            )
        if scope["method"] != "GET":
            return PlainTextResponse("only GET is answered", 405, {"Allow": "GET"})
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST + len(quote(self._root_path)):
            return PlainTextResponse("the address is too long", 414)
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not is_page:
            return PlainTextResponse("pages of other sites are not answered", 403)
        return None
