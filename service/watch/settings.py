"""Settings of `cxr watch`: its arguments, and variables `CXR_WATCH_<NAME>`."""

import re
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.radiograph import MAX_FILM_BYTES
from service.http.access import is_loopback
from service.settings import MEBIBYTE, SECRETS, settings_fault

AE_TITLE = r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?"
"""1 to 16 characters of ASCII without a backslash, no space at either end (PS3.5, 6.2)."""
NODE = re.compile(rf"(?P<ae_title>{AE_TITLE})@(?P<host>[^@\s]+):(?P<port>\d{{1,5}})")


class Node(NamedTuple):
    """Another DICOM node."""

    ae_title: str
    host: str
    port: int


def _node(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = NODE.fullmatch(value)
    if not found or int(found["port"]) > 65535:
        raise ValueError("must be AE_TITLE@HOST:PORT")
    return Node(found["ae_title"], found["host"], int(found["port"]))


def _titles(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(title.strip() for title in value.split(",") if title.strip())


AETitle = Annotated[str, Field(pattern=f"^{AE_TITLE}$")]


class JournalSettings(BaseSettings):
    """Where the journal is, which is all that `cxr watch --failed` needs to know.

    Attributes:
        journal: SQLite file of films received and answers to be sent.
    """

    model_config = SettingsConfigDict(
        env_prefix="CXR_WATCH_", frozen=True, secrets_dir=SECRETS if SECRETS.is_dir() else None
    )

    journal: Path = Path("cxr-watch/journal.sqlite")


class WatchSettings(JournalSettings):
    """Settings of `cxr watch`, each also an environment variable `CXR_WATCH_<NAME>`.

    Attributes:
        listen: Port to listen on as a DICOM node; None does not listen. 0 is any free one.
        host: Address to listen on.
        exposed: Whether other machines may send films: DICOM has no passwords.
        ae_title: Our own name among DICOM nodes.
        callers: Names of the nodes that may send, separated by commas; empty allows all.
        poll: URL of a DICOMweb server to ask for films; None does not ask.
        poll_seconds: Time between two such questions.
        poll_days: Only films of studies that are at most this old are asked for.
        send_to: Node that gets the answers: AE_TITLE@HOST:PORT.
        stow: URL of the DICOMweb server that gets them; by default the one that is polled.
        dicomweb_user: For both servers, if they need one.
        dicomweb_password: The same.
        network_seconds: Longest wait for a node or server to go on.
        retry_seconds: Longest wait between two attempts at the same thing.
        max_attempts: After so many something is given up; those don't count at which the other
            side was away or had no room.
        max_film_bytes: Longest film.
        max_waiting_bytes: Most bytes of films and answers that wait; one more film is not taken.
        max_associations: Most associations at the same time.
        max_peer_associations: Most of them with one address.
    """

    listen: int | None = Field(default=None, ge=0, le=65535)
    host: str = "127.0.0.1"
    exposed: bool = False
    ae_title: AETitle = "CXR"
    callers: Annotated[tuple[AETitle, ...], NoDecode, BeforeValidator(_titles)] = ()
    poll: str | None = Field(default=None, pattern="^https?://")
    poll_seconds: float = Field(default=10, gt=0)
    poll_days: int = Field(default=1, ge=0)
    send_to: Annotated[Node | None, NoDecode, BeforeValidator(_node)] = None
    stow: str | None = Field(default=None, pattern="^https?://")
    dicomweb_user: str | None = None
    dicomweb_password: SecretStr | None = None
    network_seconds: float = Field(default=20, gt=0)
    retry_seconds: float = Field(default=60, gt=0)
    max_attempts: int = Field(default=1000, gt=0)
    max_film_bytes: int = Field(default=MAX_FILM_BYTES, gt=0)
    max_waiting_bytes: int = Field(default=10_240 * MEBIBYTE, gt=0)
    max_associations: int = Field(default=8, gt=0)
    max_peer_associations: int = Field(default=4, gt=0)

    @model_validator(mode="after")
    def _is_complete(self) -> "WatchSettings":
        if self.listen is None and self.poll is None:
            raise ValueError("nothing to watch: give a port (--listen) or a server (--poll)")
        if not (self.send_to or self.stow or self.poll):
            raise ValueError("nowhere to send answers: give a node (--send-to) or server (--stow)")
        if self.send_to and self.stow:
            raise ValueError("--send-to and --stow are both given: answers go to one of them")
        if self.listen is not None and not (self.exposed or is_loopback(self.host)):
            raise ValueError(
                f"host {self.host!r} can be reached from other machines, and DICOM has no "
                "passwords: to allow it, give --exposed and --callers"
            )
        return self


def read_watch_settings(**given: object) -> WatchSettings:
    """Return the settings given, and those of the environment.

    Raises:
        ValueError: One is not allowed, or they don't go together.
    """
    try:
        return WatchSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValueError(settings_fault(error, "CXR_WATCH_")) from None


def read_journal_path(given: Path | None) -> Path:
    """Return the journal given, or that of the environment."""
    return given or JournalSettings().journal
