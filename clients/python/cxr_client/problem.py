"""A problem document of the server (RFC 9457), as an exception that knows the request's id."""

import re
from collections.abc import Iterator

import httpx
from pydantic import BaseModel, ValidationError

REQUEST_ID = "X-Request-ID"


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A problem document of the server, as an exception; `problem_kinds` has a class for each kind.

    Attributes:
        type: URN of the kind of problem, or `about:blank`.
        title: The same as a phrase.
        status: HTTP status.
        detail: What to do about it.
        request_id: What the server's log calls the request by; None if nothing said so.
    """

    def __init__(
        self, *, type: str, title: str, status: int, detail: str, request_id: str | None = None
    ) -> None:
        of_request = f" (request {request_id})" if request_id else ""
        super().__init__(f"{status} {title}: {detail}{of_request}")
        self.type, self.title, self.status, self.detail = type, title, status, detail
        self.request_id = request_id


class ProblemBody(BaseModel):
    """A problem document as JSON; its fields are optional, since a proxy may send another kind."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    request_id: str | None = None

    def problem(self) -> Problem:
        """Return it as an exception, of the class that its type names if there is one."""
        name = self.type.rpartition(":")[2]
        kind = next((one for one in _kinds(Problem) if _name(one) == name), Problem)
        return kind(**self.model_dump())


def problem_of(answer: httpx.Response) -> Problem:
    """Return the problem in an answer whose body has been read."""
    try:
        body = ProblemBody.model_validate_json(answer.content)
    except ValidationError:
        body = ProblemBody(title=answer.reason_phrase, status=answer.status_code)
    body.request_id = body.request_id or answer.headers.get(REQUEST_ID)
    return body.problem()


def _kinds(kind: type[Problem]) -> Iterator[type[Problem]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds(one)


def _name(kind: type[Problem]) -> str:
    """Return the class's name as a URN has it: `UploadTooLarge` is `upload-too-large`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
