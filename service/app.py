"""Build the application: routes, middleware, and the models that are open while it runs."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse

from service.api import audit, batch, films, models, monitoring, open_inference
from service.api.openapi import DocumentedApp, operation_id
from service.api.query import KnownQuery
from service.audit.trail import AuditTrail, asked_audit_trail
from service.http.access import ADMIN_PROBLEMS, KEY_PROBLEMS, AdminKey, open_gate
from service.http.headers import SafeAnswers
from service.http.methods import HeadAsGet, Pages
from service.http.proxies import RootPath
from service.http.same_site import SameSite
from service.inference.engine import Engine
from service.inference.registry import Registry
from service.observability.metrics import Metrics
from service.observability.requests import RequestRecorder
from service.observability.tracing import Tracing, open_tracing
from service.problems import add_handlers
from service.settings import Settings, read_settings

VIEWER = Path(__file__).with_name("viewer")
SWAGGER = Path(__file__).with_name("swagger")
DESCRIPTION = """\
Calibrated probabilities for a chest radiograph and, for every class, the evidence that Grad-CAM
finds on the film. For research; not a medical device.

Everything that is not a success is a problem document (RFC 9457).
"""


def create_app(
    settings: Settings | None = None,
    *,
    registry: Registry | None = None,
    audit_trail: AuditTrail | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        settings: None reads them from the environment.
        registry: Open models; None opens those of the settings when the server starts.
        audit_trail: An open audit trail; None opens that of the settings, if they have one.
        tracing: Records spans; None is what OpenTelemetry's variables in the environment say.

    Raises:
        OSError: The key file can't be read.
        ValueError: The settings or the key file have a fault, or leave the server open.
    """
    settings = settings or read_settings()
    tracing = tracing or open_tracing(os.environ)
    app = DocumentedApp(
        title="Chest X-ray explainer",
        description=DESCRIPTION,
        version=version("chest-xray-explainer"),
        lifespan=_lifespan(settings, registry, audit_trail),
        docs_url=None,  # FastAPI's page loads Swagger from a CDN
        redoc_url=None,
        # FastAPI's own telemetry would record paths, queries and the messages of exceptions.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        generate_unique_id_function=operation_id,
    )
    app.state.gate = open_gate(settings)
    app.state.metrics, app.state.tracing = Metrics(tracing), tracing
    app.state.revision = settings.revision
    _add_middleware(app, settings)
    add_handlers(app)
    _add_routes(app)
    _add_pages(app)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add what every request passes through; the last that is added sees it first."""
    app.add_middleware(HeadAsGet)
    if app.state.gate.ring is None:
        app.add_middleware(SameSite, settings=settings)
    app.add_middleware(SafeAnswers)
    app.add_middleware(RequestRecorder, metrics=app.state.metrics, tracing=app.state.tracing)
    app.add_middleware(RootPath, settings=settings)


def _add_routes(app: FastAPI) -> None:
    """Add the routes that need a key, those that need an admin's, and those that need none.

    A request is matched against the routers in this order, so films come first.
    """
    keyed = list(app.state.gate.dependencies())
    for router in (
        films.router,
        models.router,
        batch.router,
        open_inference.router,
        monitoring.router,
    ):
        app.include_router(router, dependencies=[*keyed, KnownQuery], responses=KEY_PROBLEMS)
    for router in (models.admin_router, audit.router):
        app.include_router(
            router,
            dependencies=[*keyed, AdminKey, KnownQuery],
            responses=KEY_PROBLEMS | ADMIN_PROBLEMS,
        )
    for router in (monitoring.health_router, open_inference.health_router):
        app.include_router(router, dependencies=[KnownQuery])


def _lifespan(
    settings: Settings, registry: Registry | None, audit_trail: AuditTrail | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        trail = audit_trail or asked_audit_trail(settings)
        engine = Engine(registry or Registry(settings), settings, app.state.metrics, trail)
        app.state.engine, app.state.audit = engine, trail
        with _reloading_on_hangup(engine.registry):
            yield
        app.state.engine = app.state.audit = None
        await asyncio.to_thread(engine.close)
        for opened in (trail, app.state.tracing):
            if opened:
                await asyncio.to_thread(opened.close)

    return lifespan


@contextmanager
def _reloading_on_hangup(registry: Registry) -> Iterator[None]:
    """Reload changed model files when the process gets SIGHUP, on systems that have it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, loop.run_in_executor, None, registry.refresh)
    yield
    loop.remove_signal_handler(signal.SIGHUP)


def _add_pages(app: FastAPI) -> None:
    """Serve the viewer, and Swagger from the files of the package `fastapi-swagger`."""
    # Not a mount at "/", which would hide from the router that a path takes another method.
    app.router.default = GZipMiddleware(Pages(directory=VIEWER, html=True, check_dir=False))
    files = Pages(directory=SWAGGER, packages=[("fastapi_swagger", "resources")])
    app.mount("/docs/swagger", files)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(SWAGGER / "index.html")
