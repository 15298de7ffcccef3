"""What the viewer must know where a proxy stands before it: the path and the hosts that browsers see."""

from __future__ import annotations

import re
from urllib.parse import unquote

_OWN = ("slides", "static")  # first parts of the server's own paths
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")


def parse_root_path(prefix: str) -> str:
    """The path below which a proxy shows the server, as browsers may write it, without a slash at its end.

    Raises:
        ValueError: it is none, or one that could not be told from the server's own paths.
    """
    path = unquote(prefix).rstrip("/")
    parts = path.split("/")[1:]
    if (path and not path.startswith("/")) or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"--root-path must be a path such as /user/me/proxy/8500: what follows the host in the proxy's address. Received: {prefix!r}"
        )
    if parts and parts[0] in _OWN:
        raise ValueError(
            f"--root-path must not begin with /{parts[0]}, which is a path of the viewer itself: have the proxy use another. "
            f"Received: {prefix!r}"
        )
    return path


def parse_allowed_host(name: str) -> str:
    """A host name as it is compared, without a port.

    Raises:
        ValueError: it is no host name.
    """
    host = name.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(
            "--allowed-host must be one host name such as hub.example.org, without https://, port, path or wildcard. "
            f"Received: {name!r}"
        )
    return host
