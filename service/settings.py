"""Settings of the server that its operator may choose; none is about a model's answers."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    IPvAnyNetwork,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.radiograph import MAX_FILM_BYTES, MAX_FILM_PIXELS
from xai.runtime.execution import Precision, Provider

LogFormat = Literal["text", "json"]
HostName = Annotated[
    str, StringConstraints(to_lower=True, pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)$")
]
"""A name or an address as it stands in a URL, without a port."""

ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
"""Begin of a path that a proxy hides from the server."""

OWN_MODELS = Path(__file__).with_name("default_model")
"""Folder of the ONNX files in the package; `chest_cnn` is the first by name."""

SECRETS = Path("/run/secrets")
"""Folder in which container engines put secrets: a file `cxr_audit_url` there is that setting."""

MEBIBYTE = 2**20


class Settings(BaseSettings):
    """Settings of one server, each also an environment variable `CXR_<NAME>`.

    A file `cxr_<name>` among the container's secrets sets it as well; the environment overrules it.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        models: One exported model, or a folder of them, offered beside those in the package.
        own_models: Whether to offer the models in the package. One in `models` under the same
            name replaces it.
        default_model: Name of the model that answers when none is asked for; None is the first by
            name in `models`, or else in the package.
        preload: Names of models to load before the server is ready, besides the default one; `all`
            is every model. Separated by commas in the environment.
        model_memory_bytes: Memory that loaded models may take together, estimated; beyond it the
            least recently used is unloaded. The default and preloaded ones stay. None is no limit.
        provider: What runs the models.
        precision: Number format in which it computes; `bfloat16` needs OpenVINO.
        threads: CPU threads of one run of a model. 1, with as many runs as CPUs, gives the most
            films per second; more threads shorten the wait of a single film.
        concurrency: Films decoded, and batches run, at the same time; None is one per CPU.
        max_batch_size: Most films that wait for one model and run together.
        max_batch_delay_seconds: Longest time that a batch waits to be full; 0 is not at all.
        queue_size: Most films of one model that are read, waiting, examined, or whose answer is
            being sent, at the same time; one more is answered with 503 unread.
        max_held_bytes: Most bytes of request bodies, and of answers longer than 256 KiB, in memory
            at the same time.
        max_connections: Most connections open at the same time; for one more, that which has
            waited longest for a request is closed. None is half the files that the process may
            have open, at most 1000.
        upload_seconds: Longest time for a request's body to arrive.
        request_seconds: Longest time from a film's arrival to its answer.
        answer_seconds: Longest time that a client may leave an answer, or a part of a stream,
            unread.
        grace_seconds: Longest time in which a server that is told to stop finishes its requests.
        max_upload_bytes: Longest request body with one film, form and all.
        max_film_pixels: Most pixels of one film, checked before they are decoded.
        max_batch_bytes: Longest body of `/v1/batch`, and most bytes that its zip may unpack to.
        max_batch_films: Most films in one request of `/v1/batch`.
        max_zip_ratio: Most bytes that a byte of a zip member may unpack to.
        root_path: Begin of every path that a proxy in front takes away, such as `/cxr`.
        trusted_proxies: Addresses or networks of proxies whose X-Forwarded-Prefix (in the place of
            `root_path`) and X-Forwarded-Host are believed; separated by commas.
        auth: Whether an API key is needed; None is yes wherever the server listens to more than
            this machine.
        api_keys_file: TOML file of hashed keys, which `cxr key` writes.
        allowed_hosts: Further names, without ports, under which a server that asks for no key is
            reached; separated by commas in the environment. An IPv6 address has its brackets.
        revision: Commit that the program was built from, as the container's image sets it.
        log_format: `json` is one object a line.
        audit_url: SQLAlchemy URL of the audit trail; None keeps none.
        audit_days: Age at which its rows are deleted; None is never.
    """

    model_config = SettingsConfigDict(
        env_prefix="CXR_", frozen=True, secrets_dir=SECRETS if SECRETS.is_dir() else None
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)

    models: Path | None = None
    own_models: bool = True
    default_model: str | None = None
    preload: Annotated[tuple[str, ...], NoDecode] = ()
    model_memory_bytes: int | None = Field(default=None, gt=0)
    provider: Provider = "cpu"
    precision: Precision = "float32"

    threads: int = Field(default=1, gt=0)
    concurrency: int | None = Field(default=None, gt=0)
    max_batch_size: int = Field(default=8, gt=0)
    max_batch_delay_seconds: float = Field(default=0, ge=0, le=10)
    queue_size: int = Field(default=64, gt=0)
    max_held_bytes: int = Field(default=512 * MEBIBYTE, gt=0)
    max_connections: int | None = Field(default=None, gt=0)
    upload_seconds: float = Field(default=60, gt=0)
    request_seconds: float = Field(default=30, gt=0)
    answer_seconds: float = Field(default=60, gt=0)
    grace_seconds: int = Field(default=25, gt=0)

    max_upload_bytes: int = Field(default=MAX_FILM_BYTES, gt=0)
    max_film_pixels: int = Field(default=MAX_FILM_PIXELS, gt=0)
    max_batch_bytes: int = Field(default=256 * MEBIBYTE, gt=0)
    max_batch_films: int = Field(default=1000, gt=0)
    max_zip_ratio: int = Field(default=200, gt=0)

    root_path: Annotated[str, StringConstraints(pattern=f"^{ROOT_PATH.pattern}$")] = ""
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()

    auth: bool | None = None
    api_keys_file: Path | None = None
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode] = ()
    revision: str = "unknown"
    log_format: LogFormat = "text"
    audit_url: SecretStr | None = None
    audit_days: int | None = Field(default=None, gt=0)

    @field_validator("preload", "allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value


def read_settings(**given: object) -> Settings:
    """Return the settings: those given, the others from the environment.

    Raises:
        ValueError: One is not allowed; a sentence each says its name, the rule and the value.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValueError(settings_fault(error)) from None


def settings_fault(error: ValidationError, prefix: str = "CXR_") -> str:
    """Return a sentence for each setting, or combination of settings, that is not allowed."""
    return "; ".join(_sentence(fault, prefix) for fault in error.errors())


def _sentence(fault: ErrorDetails, prefix: str) -> str:
    rule = (
        fault["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must")
    )
    if not fault["loc"]:
        return rule
    name = str(fault["loc"][0])
    return f"{name} ({prefix}{name.upper()}) {rule}, not {fault['input']!r}"
