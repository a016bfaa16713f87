"""Read the file of hashed API keys, and find a key in it.

A key is 256 random bits, so its plain SHA-256 is as hard to invert as a salted, slow hash: unlike a
password it can't be guessed.
"""

import hmac
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

KEY_BYTES = 32


class ApiKey(BaseModel):
    """One entry of the key file.

    Attributes:
        id: The name of the key in logs and the audit trail.
        sha256: Of the key itself, in hexadecimal digits.
        admin: Whether it may also reload models and read the audit trail.
        requests_per_minute: Most requests in a minute, and at once; None is no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    admin: bool = False
    requests_per_minute: Annotated[int | None, Field(gt=0)] = None


class KeyFile(BaseModel):
    """The key file: a TOML array of tables `[[keys]]`; if it is empty, no request is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] = ()

    @field_validator("keys")
    @classmethod
    def _ids_differ(cls, keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        ids = [key.id for key in keys]
        if taken := [name for name in ids if ids.count(name) > 1]:
            raise PydanticCustomError("id_taken", "the id {id} is taken", {"id": taken[0]})
        return keys


class KeyRing:
    """The keys of a file, which is read again whenever it has changed on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = _version(path)
        self._keys = read_keys(path)

    def find(self, token: str) -> ApiKey | None:
        """Return the key that was sent, or None; the time taken does not depend on which it is.

        Raises:
            OSError: The file has changed, and can't be read.
            ValueError: It has changed, and has a fault.
        """
        sent = hash_of(token)
        found = [key for key in self._current() if hmac.compare_digest(key.sha256, sent)]
        return found[0] if found else None

    def _current(self) -> tuple[ApiKey, ...]:
        version = _version(self._path)
        if version != self._version:
            self._keys = read_keys(self._path)
            self._version = version
        return self._keys


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of a file.

    Raises:
        OSError: It can't be read.
        ValueError: It is no key file; the message names file and rule, and quotes nothing secret.
    """
    return parsed_keys(path, path.read_bytes()).keys


def parsed_keys(path: Path, content: bytes) -> KeyFile:
    """Return what a key file with this content holds.

    Raises:
        ValueError: It is no key file; the message names file and rule, and quotes nothing secret.
    """
    try:
        return KeyFile.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        raise ValueError(f"{path}: {broken_rules(error)}") from None
    except ValueError as error:
        raise ValueError(f"{path} must be TOML: {error}") from None


def broken_rules(error: ValidationError) -> str:
    """Return the rules that are broken, each as `keys.0.sha256: rule`."""
    # Without the value: a user may have pasted a key where its hash belongs.
    faults = error.errors(include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)


def _version(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def hash_of(token: str) -> str:
    """Return the SHA-256 of a key, in hexadecimal digits."""
    return sha256(token.encode()).hexdigest()
