"""Refuse query parameters that a route doesn't know: a misspelt one would be passed over."""

from collections.abc import Iterator
from inspect import isclass

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from service.observability.requests import answering_route
from service.problems import UnknownParameter

IGNORED = "_"
"""By custom a random number, which keeps an answer from a cache."""


async def check_query(request: Request) -> None:
    """Raise UnknownParameter if a query parameter is none that the route takes."""
    if not request.scope["query_string"]:
        return
    known = sorted(set(_query_parameters(answering_route(request.scope).dependant)))
    if not set(request.query_params) <= {*known, IGNORED}:
        # Not which one was sent: it may be anything, a patient's name included.
        there_are = f"the query parameters {', '.join(known)}" if known else "no query parameters"
        raise UnknownParameter(f"This path takes {there_are}; another one was sent.")


KnownQuery = Depends(check_query)


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    """Yield the query parameters that a handler and its dependencies take."""
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isclass(model) and issubclass(model, BaseModel):
            yield from model.model_fields
        else:
            yield field.alias
    for below in dependant.dependencies:
        yield from _query_parameters(below)
