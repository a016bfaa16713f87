"""What Prometheus asks."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from prometheus_client.exposition import choose_encoder

OPEN_METRICS = "application/openmetrics-text"
PAGE: dict[str, Any] = {"schema": {"type": "string"}}

router = APIRouter()


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
def metrics(
    request: Request, accept: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """Show what was counted and timed, for Prometheus.

    As text; as OpenMetrics where `Accept` names it.
    """
    # Not all of the header: a version that is no number would raise in there.
    encode, media_type = choose_encoder(OPEN_METRICS if OPEN_METRICS in accept else "")
    return Response(encode(request.app.state.metrics.registry), media_type=media_type)
