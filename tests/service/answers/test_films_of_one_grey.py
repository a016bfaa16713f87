"""A film of one grey is refused by each model in the box, whose figures are numbers."""

import io
from pathlib import Path

import pytest
from PIL import Image

from service.answers.film_answer import answer_film
from service.settings import OWN_MODELS
from xai.explainer import Explainer


@pytest.mark.parametrize("model", sorted(OWN_MODELS.glob("*.onnx")), ids=lambda path: path.stem)
@pytest.mark.parametrize("grey", [0, 1, 128, 255])
def test_a_film_of_one_grey_is_refused_in_numbers(model: Path, grey: int) -> None:
    file = io.BytesIO()
    Image.new("L", (300, 256), grey).save(file, "PNG")
    said = answer_film(Explainer(model), file.getvalue()).explained_prediction(force=True)
    assert {"distance", "novelty"} <= set(said.refusals)
