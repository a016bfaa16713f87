"""Check API keys and their rate limits; refuse to start a server that is open by mistake."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request, params
from fastapi.security import HTTPBearer

from service.http.keys import ApiKey, KeyRing
from service.problems import (
    MissingKey,
    NotAllowed,
    NotReady,
    TooManyRequests,
    UnknownKey,
    openapi_problems,
)
from service.settings import Settings

Clock = Callable[[], float]

KEY_PROBLEMS = openapi_problems(MissingKey, UnknownKey, TooManyRequests, NotReady)
ADMIN_PROBLEMS = openapi_problems(NotAllowed)
"""Further problems of routes that need an admin's key."""

BEARER = HTTPBearer(
    scheme_name="ApiKey", description="A key that `cxr key` made.", auto_error=False
)
REMEDY = (
    "make a key with `cxr key ID --file keys.toml` and set CXR_API_KEYS_FILE=keys.toml, or let "
    "everyone ask who reaches the server with CXR_AUTH=off"
)
log = logging.getLogger(__name__)


def access_rule(settings: Settings) -> Path | None:
    """Return the key file of a server; None is a server without API keys.

    Raises:
        ValueError: The server must not start like this; the message says what to change.
    """
    if settings.auth is False:
        if settings.api_keys_file:
            raise ValueError("CXR_AUTH=off contradicts CXR_API_KEYS_FILE: leave one of them out")
        return None
    if settings.api_keys_file or (settings.auth is None and is_loopback(settings.host)):
        return settings.api_keys_file
    if settings.auth:
        raise ValueError(f"CXR_AUTH=on needs a file of API keys: {REMEDY}")
    raise ValueError(
        f"a server at host {settings.host!r} can be reached from other machines and has no file "
        f"of API keys: {REMEDY}"
    )


class Rates:
    """Rate limits of keys: a token bucket per key, refilled evenly.

    Kept in memory, so that each server process counts for itself.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, key: ApiKey) -> float:
        """Take a request from the key's bucket; return 0, or the seconds until it holds one."""
        if key.requests_per_minute is None:
            return 0
        per_second = key.requests_per_minute / 60
        now = self._clock()
        left, then = self._buckets.get(key.id, (math.inf, now))
        left = min(key.requests_per_minute, left + (now - then) * per_second)
        self._buckets[key.id] = (left - 1 if left >= 1 else left, now)
        return max(0, (1 - left) / per_second)


class Gate:
    """Check API keys and their rate limits; without keys every request is allowed.

    Attributes:
        ring: The keys; None allows every request.
    """

    def __init__(self, ring: KeyRing | None, *, clock: Clock = time.monotonic) -> None:
        self.ring = ring
        self._rates = Rates(clock)

    def admit(self, token: str | None) -> ApiKey | None:
        """Return the key that was sent, after checking it; None where no key is needed.

        Raises:
            MissingKey: None was sent.
            UnknownKey: It is not in the file.
            TooManyRequests: It has asked too often.
            NotReady: The file was changed and has a fault.
        """
        if self.ring is None:
            return None
        if token is None:
            raise MissingKey("This server asks for an API key: Authorization: Bearer KEY.")
        key = _found(self.ring, token)
        if key is None:
            raise UnknownKey("This server has no such API key, or has it no longer.")
        if wait := math.ceil(self._rates.wait(key)):
            raise TooManyRequests(
                f"This key's requests per minute are limited to {key.requests_per_minute}; "
                f"ask again in {wait} s.",
                {"Retry-After": str(wait)},
            )
        return key

    def dependencies(self) -> Sequence[params.Depends]:
        """Return the dependencies of a router that needs a key; none where no key is needed."""
        return [] if self.ring is None else [AnyKey, Depends(BEARER)]


def open_gate(settings: Settings) -> Gate:
    """Return the check of API keys that the settings ask for.

    Raises:
        OSError: The key file can't be read.
        ValueError: It has a fault, or the server must not start without one.
    """
    path = access_rule(settings)
    return Gate(KeyRing(path) if path else None)


async def any_key(request: Request) -> ApiKey | None:
    """Check the API key of a request before its body is read, and return it.

    `request.state.key_id` is then its id, or None where no key is needed.

    Raises:
        AccessProblem: The request may not be answered.
    """
    request.state.key_id = None
    sent = await BEARER(request)
    key: ApiKey | None = request.app.state.gate.admit(sent.credentials if sent else None)
    request.state.key_id = key.id if key else None
    return key


AnyKey = Depends(any_key)
Key = Annotated[ApiKey | None, AnyKey]


async def admin_key(key: Key) -> ApiKey | None:
    """Check that the API key of a request is an admin's, and return it.

    Raises:
        AccessProblem: The request may not be answered.
    """
    if key and not key.admin:
        raise NotAllowed("This needs an admin's key: one made with `cxr key ID --admin`.")
    return key


AdminKey = Depends(admin_key)


def _found(ring: KeyRing, token: str) -> ApiKey | None:
    try:
        return ring.find(token)
    except (OSError, ValueError) as error:
        # Not the keys before the change: it may have been made to revoke them.
        log.error("No key is accepted: %s", error)
        raise NotReady("The server's key file has a fault; its log says which.") from error


def is_loopback(host: str) -> bool:
    """Return whether a server at this address can be reached from this machine only."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, or empty, which is every address
        return False
