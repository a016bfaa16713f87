"""The whole story, read this first: learn a bright spot, export, serve, find it in the map."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import cxr
from service.app import create_app
from service.settings import Settings
from tests.support.bright_spot import SPOT, film, write_config, write_set

pytestmark = pytest.mark.slow


def test_learn_export_serve_and_find_the_spot(tmp_path: Path) -> None:
    config = write_config(write_set(tmp_path / "films"))
    run, model = str(tmp_path / "run"), str(tmp_path / "spot_cnn.onnx")
    assert cxr.main(["train", str(config), "--run", run]) == 0
    assert cxr.main(["export", run, "-o", model]) == 0
    with TestClient(create_app(Settings(models=Path(model), own_models=False))) as client:
        for seed, spot in enumerate([(8, 8), (8, 40), (40, 8), (36, 36)]):
            answer = explained(client, film(1000 + seed, spot=spot))
            assert answer["predicted_class"] == "spot"
            assert hottest_pixel(answer, "spot") == pytest.approx(middle(spot), abs=16)


def explained(client: TestClient, pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    response = client.post("/v1/explain?force=true", files={"file": file.getvalue()})
    assert response.status_code == 200, response.text
    return response.json()


def hottest_pixel(answer: dict[str, Any], class_name: str) -> tuple[float, float]:
    """Return x and y on the film of the middle of the hottest grid cell."""
    finding = next(f for f in answer["findings"] if f["class_name"] == class_name)
    evidence = np.array(finding["explanation"]["evidence"])
    row, column = np.unravel_index(evidence.argmax(), evidence.shape)
    a, b, c, d, e, f = finding["explanation"]["affine"]
    x, y = column + 0.5, row + 0.5
    return a * x + b * y + c, d * x + e * y + f


def middle(spot: tuple[int, int]) -> tuple[float, float]:
    row, column = spot
    return column + SPOT / 2, row + SPOT / 2
