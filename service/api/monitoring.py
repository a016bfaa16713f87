"""Routes for monitoring: `/metrics`, `/health/live`, `/health/ready` and `/version`."""

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from service.answers.schemas import Health, Version
from service.api.dependencies import Accept, OpenEngine
from service.problems import NotReady, openapi_problems

OPEN_METRICS = "application/openmetrics-text"
PAGE: dict[str, Any] = {"schema": {"type": "string"}}

router = APIRouter()
health_router = APIRouter(tags=["health"])
"""Routes for probes and people who look for a fault: they need no key."""


@router.get(
    "/metrics",
    tags=["health"],
    response_class=Response,
    responses={
        200: {
            "description": "The figures.",
            "content": {"text/plain": PAGE, OPEN_METRICS: PAGE},
        }
    },
)
def metrics(request: Request, accept: Accept = None) -> Response:
    """Give the counts and times of the server, for Prometheus.

    As text; as OpenMetrics where `Accept` names it.
    """
    named = any(OPEN_METRICS in line for line in accept or ())
    # Not all of the header: a version that is no number would raise in `choose_encoder`.
    encode, media_type = choose_encoder(OPEN_METRICS if named else "")
    return Response(encode(request.app.state.metrics.registry), media_type=media_type)


@health_router.get("/health/live")
async def live() -> Health:
    """Say that the process answers."""
    return Health(status="live")


@health_router.get("/health/ready", responses=openapi_problems(NotReady))
async def ready(_engine: OpenEngine) -> Health:
    """Say that the default model is loaded, checked against its card, and warm."""
    return Health(status="ready")


@health_router.get("/version")
async def version(request: Request) -> Version:
    """Say which version of the program answers, and from which commit it was built."""
    return Version(version=request.app.version, revision=request.app.state.revision)
