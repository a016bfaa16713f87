"""The application: settings in, a server that opens its models and closes them again out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from service.access import KEY_PROBLEMS, open_gate
from service.engine import Engine, open_engine
from service.headers import SafeAnswers
from service.problems import add_handlers
from service.routes import health_router, router
from service.settings import Settings, read_settings

VIEWER = Path(__file__).with_name("viewer")
SWAGGER = Path(__file__).with_name("swagger")
DESCRIPTION = """\
Calibrated probabilities for a chest radiograph and, for every class, the evidence that Grad-CAM
finds on the film. For research; not a medical device.

Everything that is not a success is a problem document (RFC 9457).
"""


def create_app(settings: Settings | None = None, *, engine: Engine | None = None) -> FastAPI:
    """Return the application.

    Args:
        settings: None reads them from the environment.
        engine: Open models; None opens those of the settings when the server starts.

    Raises:
        OSError: The key file can't be read.
        ValueError: The settings or the key file have a fault, or other machines reach the server
            and nobody said who may ask.
    """
    settings = settings or read_settings()
    gate = open_gate(settings)
    app = FastAPI(
        title="Chest X-ray explainer",
        description=DESCRIPTION,
        version=version("chest-xray-explainer"),
        lifespan=_lifespan(settings, engine),
        docs_url=None,  # FastAPI's page loads Swagger from a CDN
        redoc_url=None,
    )
    app.state.gate = gate
    app.add_middleware(SafeAnswers)
    add_handlers(app)
    app.include_router(health_router)
    app.include_router(router, dependencies=gate.dependencies(), responses=KEY_PROBLEMS)
    _add_documentation(app)
    # Not a mount at "/", which would hide from the router that a path takes another method.
    app.router.default = StaticFiles(directory=VIEWER, html=True, check_dir=False)
    return app


def _lifespan(
    settings: Settings, engine: Engine | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = engine or open_engine(settings)
        yield
        app.state.engine = None

    return lifespan


def _add_documentation(app: FastAPI) -> None:
    """Serve Swagger from the files in the package `fastapi-swagger`, with our start script."""
    files = StaticFiles(directory=SWAGGER, packages=[("fastapi_swagger", "resources")])
    app.mount("/docs/swagger", files)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(SWAGGER / "index.html")
