"""Route `/v1/audit`: list the audit trail, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.dependencies import JSON_ONLY
from service.api.openapi import JSON
from service.audit.rows import AuditPage, AuditQuery
from service.audit.trail import AuditTrail
from service.problems import (
    AuditOff,
    AuditUnavailable,
    MissingKey,
    NotAllowed,
    TooManyRequests,
    UnknownKey,
    openapi_problems,
)

router = APIRouter(**JSON_ONLY)


async def audit_trail(request: Request) -> AuditTrail:
    """Return the audit trail that the lifespan opened.

    Raises:
        AuditOff: There is none.
    """
    trail: AuditTrail | None = getattr(request.app.state, "audit", None)
    if trail is None:
        raise AuditOff("The server keeps no audit trail; its operator can set CXR_AUDIT_URL.")
    return trail


OpenAuditTrail = Annotated[AuditTrail, Depends(audit_trail)]


@router.get(
    "/v1/audit",
    tags=["audit"],
    response_model=AuditPage,
    responses=openapi_problems(
        MissingKey, UnknownKey, NotAllowed, TooManyRequests, AuditOff, AuditUnavailable
    ),
)
async def audit(trail: OpenAuditTrail, query: Annotated[AuditQuery, Query()]) -> Response:
    """List the answers that were given, oldest first; needs an admin's key.

    Ask for the next page with `after` set to the `next` of this one. Rows that are written
    meanwhile come at the end, so that none is missed or listed twice.
    """

    def page() -> str:
        rows = trail.rows(query)
        is_full = len(rows) == query.limit
        return AuditPage(rows=rows, next=rows[-1].id if is_full else None).model_dump_json()

    return Response(await trail.reading(page), media_type=JSON)
