"""Refuse what pages of other sites would make a browser ask of a server without API keys.

Such a page's POST arrives, although it can't read the answer. And under a name of its own that
leads to this server (DNS rebinding) it could read every answer, if the server took that name for
one of its own. Where a key is asked for, no other page has it.
"""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.access import is_loopback
from service.http.proxies import forwarded_hosts
from service.problems import AccessProblem, CrossSite, UnknownHost, problem_response
from service.settings import Settings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^][\s:/?#@,]+)(?::[0-9]{1,5})?")
"""A Host header in lower case: a name or an address, and perhaps a port."""


class SameSite:
    """Middleware that answers under the server's own names, and lets its own pages change things.

    Its own names are those of loopback, the address at which a connection came in, and those of the
    settings. A request that no browser sent has neither Sec-Fetch-Site nor Origin, and passes.

    Source:
        RFC 9110, section 7.4; W3C Fetch Metadata, section 2.3; Go's `http.CrossOriginProtection`.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self._names = {settings.host.lower(), *settings.allowed_hosts}
        self._proxies = settings.trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self.app(scope, receive, send)
            return
        scope["state"]["problem"] = problem.name()
        await problem_response(problem, scope)(scope, receive, send)

    def _problem(self, scope: Scope) -> AccessProblem | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        # None of them replaces Host: a page whose name leads here could send that header, too.
        forwarded = forwarded_hosts(scope, self._proxies)
        if not hosts or not all(self._is_own(one.lower(), scope) for one in hosts + forwarded):
            return UnknownHost(
                "Without API keys this server answers only under its own names; its operator can "
                "add one with CXR_ALLOWED_HOSTS."
            )
        if scope["method"] not in SAFE and is_cross_site(headers, hosts + forwarded):
            return CrossSite("A page of another site sent this; send it from this server's page.")
        return None

    def _is_own(self, host: str, scope: Scope) -> bool:
        found = HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1]
        address = name.strip("[]")
        # Nobody can make a name of theirs out of an address, so the connection's own is safe.
        connected_to = (scope.get("server") or [""])[0]
        return is_loopback(address) or name in self._names or address == connected_to


def is_cross_site(headers: Headers, hosts: Sequence[str]) -> bool:
    """Return whether a browser sent a request for a page of another origin than these hosts'.

    A page on another port of the same host is another origin, too.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")  # none: the reader's own doing
    return origin is not None and origin.partition("://")[2] not in hosts
