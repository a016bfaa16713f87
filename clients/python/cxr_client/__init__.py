"""Ask a server from Python: send films, get typed answers, or the server's problem as an exception.

    >>> from cxr_client import Client
    >>> with Client("http://127.0.0.1:8000") as client:
    ...     answer = client.predict("service/viewer/samples/pneumonia.dcm")
    >>> answer.model.name, answer.in_distribution
    ('chest_cnn', True)

`AsyncClient` is the same for asyncio.
"""

from cxr_client.async_client import AsyncClient
from cxr_client.calls import BatchLine, Film, RawFilm
from cxr_client.client import Client
from cxr_client.problem import Problem, ProblemBody
from cxr_client.problem_kinds import (
    AccessProblem,
    FilmProblem,
    ModelProblem,
    QuestionProblem,
    Unavailable,
    UploadProblem,
)

__all__ = [
    "AccessProblem",
    "AsyncClient",
    "BatchLine",
    "Client",
    "Film",
    "FilmProblem",
    "ModelProblem",
    "Problem",
    "ProblemBody",
    "QuestionProblem",
    "RawFilm",
    "Unavailable",
    "UploadProblem",
]
