"""What the person who runs the server may choose; nothing about a model is among it."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.radiograph import MAX_FILM_BYTES, MAX_FILM_PIXELS

DEFAULT_MODELS = Path(__file__).with_name("default_model")
"""The ONNX files that come with the package lie here; `chest_cnn` is the first by name."""


class Settings(BaseSettings):
    """Settings of one server, each also an environment variable `CXR_<NAME>`.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        models: One exported model, or a folder of them; each `*.onnx` in it is offered.
        default_model: Name of the model that answers when none is asked for; None is the first
            name in alphabetical order.
        max_upload_bytes: Longest request body, form and all.
        max_film_pixels: Most pixels of one film, checked before they are decoded.
        concurrency: Films worked on at the same time; None is one per CPU.
        threads: CPU threads of one run of the model; None is one per CPU.
    """

    model_config = SettingsConfigDict(env_prefix="CXR_", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    models: Path = DEFAULT_MODELS
    default_model: str | None = None
    max_upload_bytes: int = Field(default=MAX_FILM_BYTES, gt=0)
    max_film_pixels: int = Field(default=MAX_FILM_PIXELS, gt=0)
    concurrency: int | None = Field(default=None, gt=0)
    threads: int | None = Field(default=None, gt=0)
