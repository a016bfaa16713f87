"""A module's own exported model, its `file` fixture, opened and served."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from xai.explainer import Explainer


@pytest.fixture(scope="module")
def explainer(file: Path) -> Explainer:
    return Explainer(file)


@pytest.fixture(scope="module")
def client(file: Path) -> Iterator[httpx.Client]:
    with serving(create_app(Settings(models=file, own_models=False))) as client:
        yield client
