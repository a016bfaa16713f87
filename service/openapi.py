"""The OpenAPI document: what FastAPI makes of the routes, put right where it can't know better."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.problems import MEDIA_TYPE, ProblemDocument

FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
WRONG_PARAMETER: dict[str, Any] = {
    "description": "A parameter is not as described",
    "content": {
        MEDIA_TYPE: {
            "schema": ProblemDocument.model_json_schema(),
            "example": {
                "type": "about:blank",
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "force: Input should be a valid boolean",
            },
        }
    },
}


class DocumentedApp(FastAPI):
    """An application whose document says that a wrong parameter is a problem as well."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        made_before = self.openapi_schema is not None
        document = super().openapi()
        if not made_before:
            for operations in document["paths"].values():
                for operation in operations.values():
                    _put_right(operation)
            for name in FASTAPIS_OWN:
                document["components"]["schemas"].pop(name, None)
        return document


def operation_id(route: APIRoute) -> str:
    """Return the handler's name, and whether the path names the model's version."""
    return f"{route.name}_of_version" if "{version}" in route.path else route.name


def _put_right(operation: dict[str, Any]) -> None:
    """Describe FastAPI's own 422 as the problem it is here; only a query can be wrong."""
    responses = operation["responses"]
    if MEDIA_TYPE in responses.get("422", {}).get("content", {MEDIA_TYPE: {}}):
        return
    if any(one["in"] == "query" for one in operation.get("parameters", ())):
        responses["422"] = WRONG_PARAMETER
    else:
        del responses["422"]
