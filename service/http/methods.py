"""Answer HEAD as GET, and an unknown path with 404 whatever the method."""

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """Middleware that routes a HEAD request as GET; the server leaves the answer's body out.

    Source:
        RFC 9110, section 9.3.2.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        # In a copy: the server reads in its own that there is to be no body.
        routed = {**scope, "method": "GET"}
        try:
            await self.app(routed, receive, send)
        finally:
            scope.update(routed, method="HEAD")


class Pages(StaticFiles):
    """Files that only take GET, and 404 for every method where there is none."""

    def get_path(self, scope: Scope) -> str:
        """Return the file's path, whatever a proxy hides of the request's."""
        root = scope.get("root_path", "")
        mounted_at = root.removeprefix(scope.get("app_root_path", root))
        return super().get_path({**scope, "root_path": mounted_at})

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, or raise the HTTPException that says why not."""
        response = await super().get_response(path, {**scope, "method": "GET"})
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        return response
