import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.card import Golden
from tests.support.tiny_model import (
    CLASS_NAMES,
    GRID,
    IMAGE_SIZE,
    card,
    evidence,
    golden,
    quadrants,
    softmax,
    write_model,
)
from xai import explainer as module
from xai.explainer import Explainer

ROOT = Path(__file__).parents[2]

PIXELS = quadrants([0.1, 0.5, 0.9, 0.3])


def test_answers_are_those_worked_out_by_hand(tmp_path: Path):
    pixels = np.tile(PIXELS.astype(np.float32) / 255, (3, 1, 1, 1))
    answers = Explainer(write_model(tmp_path))(pixels)
    logits = evidence(PIXELS).mean(axis=(1, 2))
    np.testing.assert_allclose(answers.evidence[2], evidence(PIXELS), atol=1e-5)
    np.testing.assert_allclose(answers.logits[1], logits, atol=1e-5)
    np.testing.assert_allclose(answers.probabilities[0], softmax(logits), atol=1e-5)
    np.testing.assert_allclose(answers.distance, 10 * PIXELS.mean() / 255, rtol=1e-5)


def test_card_and_hash_are_read_from_the_file(tmp_path: Path):
    explainer = Explainer(write_model(tmp_path, version="7"), threads=1)
    assert explainer.card.version == "7"
    assert explainer.card.class_names == CLASS_NAMES
    assert len(explainer.sha256) == 64


def test_a_lazy_explainer_reads_the_card_and_loads_when_it_is_called(tmp_path: Path):
    eager = Explainer(write_model(tmp_path))
    lazy = Explainer(tmp_path / "tiny.onnx", lazy=True)
    assert (lazy.card, lazy.sha256, lazy.is_loaded) == (eager.card, eager.sha256, False)
    pixels = PIXELS[None, None].astype(np.float32) / 255
    np.testing.assert_array_equal(lazy(pixels).evidence, eager(pixels).evidence)
    assert lazy.is_loaded


def test_a_lazy_explainer_is_loaded_once_however_many_ask(tmp_path: Path, monkeypatch):
    lazy = Explainer(write_model(tmp_path), lazy=True)
    loaded: list[Path] = []
    open_session = module.open_session

    def counted(model: Path, **options):
        loaded.append(model)
        return open_session(model, **options)

    monkeypatch.setattr(module, "open_session", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: lazy.load(), range(8)))
    assert len(loaded) == 1


def test_a_file_that_changed_after_its_card_was_read_is_refused(tmp_path: Path):
    lazy = Explainer(write_model(tmp_path), lazy=True)
    write_model(tmp_path, version="9")
    with pytest.raises(ValueError, match=r"tiny.onnx: the file has changed since its card was"):
        lazy.load()


def test_pixels_of_another_size_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"\[batch, 1, 32, 48\], not \[1, 1, 48, 32\]"):
        Explainer(write_model(tmp_path))(np.zeros((1, 1, 48, 32), np.float32))


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path):
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(ValueError, match=r"text.onnx: .* can't load it as an ONNX file"):
        Explainer(path)


def test_a_file_without_card_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"tiny.onnx: the file holds no model_card"):
        Explainer(write_model(tmp_path, card_json=""))


def test_a_card_with_an_unknown_field_is_refused(tmp_path: Path):
    text = card().model_dump_json().replace('"std"', '"sdt"')
    with pytest.raises(ValueError, match=r"(?s)model_card in the file is not valid.*sdt"):
        Explainer(write_model(tmp_path, card_json=text))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"image_size": (48, 32)}, r"pixels are \[1, 32, 48\], but the card's image_size"),
        ({"activation_grid": (4, 2)}, r"graph's evidence must have shape \(3, 4, 2\)"),
        ({"golden": golden().model_copy(update={"logits": (0.0, 0.0)})}, r"golden.logits must"),
    ],
)
def test_a_card_that_describes_another_graph_is_refused(tmp_path: Path, changes, fault):
    with pytest.raises(ValueError, match=fault):
        Explainer(write_model(tmp_path, **changes))


@pytest.mark.parametrize("output", ["logits", "probabilities", "evidence", "distance"])
def test_golden_outputs_that_are_not_reproduced_are_refused(tmp_path: Path, output: str):
    off = (np.asarray(getattr(golden(), output)) * 0.99).tolist()
    changed = Golden.model_validate(golden().model_dump() | {output: off})
    with pytest.raises(ValueError, match=f"golden {output} not reproduced"):
        Explainer(write_model(tmp_path, golden=changed))


def test_the_tiny_model_has_the_shape_the_tests_say():
    assert evidence(np.zeros(IMAGE_SIZE, np.uint8)).shape == (len(CLASS_NAMES), *GRID)


def test_onnx_runtime_neither_reports_home_nor_keeps_a_device_id(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys, pathlib; from xai.explainer import Explainer; "
        "Explainer(pathlib.Path(sys.argv[1]))"
    )
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    environment = kept | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code, str(model)], cwd=ROOT, env=environment, check=True)
    assert list(home.rglob("*")) == []
