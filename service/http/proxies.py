"""Work behind a proxy that hides a prefix of the path; believe only proxies that are trusted."""

from collections.abc import Iterable
from ipaddress import ip_address

from pydantic import IPvAnyNetwork
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.settings import ROOT_PATH, Settings


class RootPath:
    """Middleware that puts into `root_path` what a proxy hides of the path, without a last slash.

    It is the header X-Forwarded-Prefix of a trusted proxy, or else the setting. A proxy may leave
    the prefix in the path.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and (prefix := self._prefix(scope)):
            scope["root_path"] = prefix
            if scope["path"].startswith(f"{prefix}/"):
                scope["path"] = scope["path"].removeprefix(prefix)
        await self.app(scope, receive, send)

    def _prefix(self, scope: Scope) -> str:
        if is_trusted(scope, self._settings.trusted_proxies):
            given = Headers(scope=scope).get("x-forwarded-prefix", "")
            if ROOT_PATH.fullmatch(given) and given.strip("/"):
                return given.rstrip("/")
        return self._settings.root_path.rstrip("/")


def is_trusted(scope: Scope, proxies: Iterable[IPvAnyNetwork]) -> bool:
    """Return whether a request comes from a trusted proxy."""
    try:
        peer = ip_address((scope.get("client") or [""])[0])
    except ValueError:  # a socket file, or a test's own client
        return False
    return any(peer in network for network in proxies)


def forwarded_hosts(scope: Scope, proxies: Iterable[IPvAnyNetwork]) -> list[str]:
    """Return the hosts of X-Forwarded-Host, none of which comes from anyone but a trusted proxy."""
    if not is_trusted(scope, proxies):
        return []
    lines = Headers(scope=scope).getlist("x-forwarded-host")
    return [host.strip() for line in lines for host in line.split(",")]
