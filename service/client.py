"""The client for programs under its old name, for this version: import `cxr_client` instead.

It needs httpx (`pip install '.[client]'`) and loads nothing of the server.
"""

try:
    import httpx  # noqa: F401 - named here, with what brings it
except ImportError as error:
    raise ImportError("service.client needs httpx: pip install '.[client]'") from error

from cxr_client import BatchLine, Client, Film, Problem, ProblemBody, RawFilm

__all__ = ["BatchLine", "Client", "Film", "Problem", "ProblemBody", "RawFilm"]
