"""Placeholder until the telemetry branch lands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Metrics:
    @contextmanager
    def stage(self, stage: str, model: str) -> Iterator[None]:
        yield

    def observe(self, stage: str, model: str, seconds: float) -> None: ...

    def batch(self, model: str, size: int) -> None: ...

    def examined(self, examination: Any) -> None: ...
