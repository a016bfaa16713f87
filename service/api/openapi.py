"""Describe what routes share in the OpenAPI document, and correct what FastAPI writes into it.

The constants describe a film as a request's body, the media types of answers, and the problems
that a film may meet.
"""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.answers import examples, schemas
from service.films.uploads import ANY_TYPE, FIELD, FILM_TYPES, FORM
from service.http.access import BEARER
from service.problems import (
    MEDIA_TYPE,
    EmptyUpload,
    FilmRefused,
    FilmTooLarge,
    MalformedForm,
    MissingFile,
    NoMap,
    NoSourceInstance,
    NotAcceptable,
    NotAnImage,
    NotReady,
    Overloaded,
    SlowUpload,
    TooSlow,
    UnknownClass,
    UnknownModel,
    UnknownParameter,
    UnreadableFilm,
    UnsoundModel,
    UnsupportedFilm,
    UnsupportedMediaType,
    UploadInterrupted,
    UploadTooLarge,
    openapi_problems,
)

JSON = "application/json"
PNG = "image/png"
RAW = ANY_TYPE
FILM_HEADER = "X-Film"

BINARY = {"type": "string", "format": "binary"}
FILM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"A film (PNG, JPEG, TIFF, DICOM) in the form's field `{FIELD}`, "
        "or as the body itself. The bytes decide which format it is.",
        "content": {
            FORM: {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: BINARY}}}
        }
        | {media_type: {"schema": BINARY} for media_type in FILM_TYPES},
    }
}
PICTURE_PROBLEMS = (
    MalformedForm,
    NotAcceptable,
    UploadTooLarge,
    FilmTooLarge,
    UnsupportedMediaType,
    NotAnImage,
    MissingFile,
    EmptyUpload,
    UnreadableFilm,
    UnsupportedFilm,
    SlowUpload,
    UploadInterrupted,
    NotReady,
    Overloaded,
    TooSlow,
)
FILM_PROBLEMS = (*PICTURE_PROBLEMS, UnknownModel, UnsoundModel)
EXPLAIN_PROBLEMS = (*FILM_PROBLEMS, FilmRefused, NoMap, NoSourceInstance, UnknownClass)
PNG_CONTENT: dict[str, Any] = {PNG: {"schema": BINARY}}
FILM_ANSWER: dict[str, Any] = {
    "description": "The film: its values, or a picture of them.",
    "content": {RAW: {"schema": BINARY}} | PNG_CONTENT,
    "headers": {
        FILM_HEADER: {
            "description": "What raw pixels mean, as JSON in ASCII: value = pixel * slope + "
            "intercept; `spacing` is millimetres between rows and between columns, or null; `low` "
            "and `high` are the film's smallest and largest value, padding left out. A window "
            "shows a value as the grey clip((value - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, "
            "0, 1); the first is what models see the film through. Its `name` is one of a few "
            "standard words or null.",
            "schema": {"type": "string", "contentMediaType": JSON},
            "example": json.dumps(examples.FILM_PIXELS),
        }
    },
}
EXPLAIN_CONTENT = {
    JSON: {"example": examples.EXPLAINED_PREDICTION},
    **PNG_CONTENT,
    "multipart/related": {"schema": BINARY},
}

FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
WRONG_PARAMETER = "A parameter is not as described, or not known here"
PARAMETER_FAULTS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["parameter", "detail"],
        "properties": {"parameter": {"type": "string"}, "detail": {"type": "string"}},
    },
}
PARAMETER_EXAMPLE: dict[str, Any] = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "force: Input should be a valid boolean",
    "errors": [{"parameter": "force", "detail": "Input should be a valid boolean"}],
}


class DocumentedApp(FastAPI):
    """An application whose document says of itself what a client's generator needs.

    A wrong parameter is a problem document, a summary the first sentence of its description; the
    API key is declared even where the server asks for none.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        made_before = self.openapi_schema is not None
        document = super().openapi()
        if not made_before:
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _correct_422(operation, path)
                    sentence = operation["description"].partition("\n\n")[0]
                    operation["summary"] = sentence.replace("\n", " ")
            key = BEARER.model.model_dump(mode="json", by_alias=True, exclude_none=True)
            document["components"]["securitySchemes"] = {BEARER.scheme_name: key}
            document.setdefault("servers", [{"url": "/"}])
            for name in FASTAPIS_OWN:
                document["components"]["schemas"].pop(name, None)
            for name, schema in document["components"]["schemas"].items():
                # FastAPI leaves what is null out of examples, but of a refused film that is said.
                config = getattr(getattr(schemas, name, None), "model_config", {})
                schema.update(config.get("json_schema_extra", {}))
        return document


def operation_id(route: APIRoute) -> str:
    """Return the handler's name, with a suffix if the path holds the model's version."""
    return f"{route.name}_of_version" if "{version}" in route.path else route.name


def _correct_422(operation: dict[str, Any], path: str) -> None:
    """Describe FastAPI's own 422, and that of an unknown parameter, as a problem document."""
    responses = operation["responses"]
    if MEDIA_TYPE not in responses.get("422", {}).get("content", {}):
        [content] = openapi_problems(UnknownParameter, path=path)[422]["content"].values()
        schema = {"allOf": [content["schema"]], "properties": {"errors": PARAMETER_FAULTS}}
        [unknown] = [one["value"] for one in content["examples"].values()]
        wrong = unknown | PARAMETER_EXAMPLE
        if "error" in wrong:  # under /v2
            wrong["error"] = wrong["detail"]
        shown = content["examples"] | {"Wrong parameter": {"value": wrong}}
        told = {"schema": schema, "examples": shown}
        responses["422"] = {"description": WRONG_PARAMETER, "content": {MEDIA_TYPE: told}}
