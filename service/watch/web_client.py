"""A client of DICOMweb servers that bounds what it reads, in bytes and in time."""

import io
import time
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient
from urllib3.exceptions import NewConnectionError

from service.watch.settings import WatchSettings

SLOWEST = 10_000
"""Bytes per second that an answer must come with in the long run."""
CHUNK = 2**16
OVERHEAD_BYTES = 2**20
"""Allowance for what an answer holds besides the film."""
AWAY = (408, 429, 502, 503, 504, 507)
"""Statuses that say nothing about the request."""


class AnswerTooLongError(Exception):
    """A server's answer has more bytes than the longest film."""


class AnswerTooSlowError(Exception):
    """A server's answer doesn't end."""


def open_web_client(settings: WatchSettings, url: str) -> DICOMwebClient:
    """Return a client of a DICOMweb server without retries: the journal decides on those."""
    session = BoundedSession(settings.max_film_bytes + OVERHEAD_BYTES, settings.network_seconds)
    if settings.dicomweb_user and settings.dicomweb_password:
        session.auth = (settings.dicomweb_user, settings.dicomweb_password.get_secret_value())
    client = DICOMwebClient(url, session=session, timeout=settings.network_seconds)
    client.set_http_retry_params(retry=False)
    return client


def is_unreachable(error: Exception) -> bool:
    """Return whether a server is away or overloaded, so that no film is at fault."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in AWAY
    if isinstance(error, requests.ConnectionError):
        cause = getattr(error.args[0], "reason", None) if error.args else None
        return isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError)
    return False


class BoundedSession(requests.Session):
    """A session that reads no endless answers; what it sends is not sent on by a redirect."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        super().__init__()
        self._max_bytes, self._seconds = max_bytes, seconds

    def request(  # type: ignore[override]
        self, method: str, url: str, **options: Any
    ) -> requests.Response:
        """Ask a server, and read its whole answer; see `requests.Session.request`.

        Raises:
            AnswerTooLongError: The answer is too long; if it says so first, it isn't read.
            AnswerTooSlowError: It comes too slowly.
            requests.RequestException: The server can't be asked.
            urllib3.exceptions.HTTPError: The answer breaks off.
        """
        is_sent = method.upper() == "POST"
        if is_sent:
            options["allow_redirects"] = False
            accepted = {"Accept": "application/dicom+json"}
            options["headers"] = accepted | (options.get("headers") or {})
        with super().request(method, url, **options | {"stream": True}) as response:
            body = self._body(response)
        response.raw = io.BytesIO(body)
        if is_sent:
            _prepare_for_dicomweb_client(response)
        return response

    def _body(self, response: requests.Response) -> bytes:
        if int(response.headers.get("Content-Length", 0)) > self._max_bytes:
            raise AnswerTooLongError
        began, body = time.monotonic(), bytearray()
        while piece := response.raw.read1(CHUNK, decode_content=True):
            body += piece
            if len(body) > self._max_bytes:
                raise AnswerTooLongError
            if time.monotonic() - began > self._seconds + len(body) / SLOWEST:
                raise AnswerTooSlowError
        return bytes(body)


def _prepare_for_dicomweb_client(response: requests.Response) -> None:
    """Let it read all answers to a STOW that list objects."""
    if response.is_redirect:
        raise requests.HTTPError("redirected", response=response)
    if response.status_code == 409:  # no object was stored; the body says why, for each
        response.status_code = 200
    content_type = response.headers.get("Content-Type", "")
    response.headers["Content-Type"] = content_type.split(";")[0].strip().lower()
