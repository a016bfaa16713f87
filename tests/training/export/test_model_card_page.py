"""The page of a model card holds all that the card holds."""

from pathlib import Path

import pytest

import cxr
from models.card import CellCentres, LungLimits, Metric, ModelCard, WeightStorage
from service.settings import OWN_MODELS
from tests.support.tiny_model import card, write_model
from training.export.model_card_page import model_card_page
from xai.explainer import Explainer

METRIC = Metric(name="auroc", split="train", class_name="effusion", estimate=0.9, low=0.8, high=1)
SECTIONS = [  # Mitchell et al. 2019, figure 1
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
    "Credits",
]


@pytest.mark.parametrize("model", sorted(OWN_MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_page_beside_a_model_is_what_its_card_says(model: Path) -> None:
    written = model.with_suffix(".MODEL_CARD.md").read_text(encoding="utf-8")
    assert written == model_card_page(Explainer(model, lazy=True).card)


def test_the_page_has_the_sections_of_a_model_card() -> None:
    titles = [line[3:] for line in model_card_page(card()).splitlines() if line.startswith("## ")]
    assert titles == SECTIONS


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"metrics": (METRIC,)}, "| auroc, effusion | train | 0.900 | 0.800 to 1.000 |"),
        ({"metrics": (METRIC,)}, "The 1 films of the train split of the data below."),
        ({}, "Not evaluated when it was exported."),
        ({}, "| pneumonia | 0.100 | 1.000 | 1.000 | largest Youden index on val |"),
        ({"conformal_quantiles": (0.5, 0.6, 0.7)}, "| pneumonia | 0.400 |"),
        ({"credits": ("Jane",)}, "- Jane"),
        ({"limits": ("is tiny",)}, "- is tiny"),
        ({"architecture": "vgg16", "head": "pooled"}, "- Architecture: `vgg16`, `pooled`"),
        ({}, "- Weights: float32"),
        ({}, "- Explanation: Grad-CAM at `stages.3`, 2 x 4 cells"),
        (
            {"cell_centres": CellCentres(origin=(0.5, 8), step=(16, 12))},
            "- Explanation: Grad-CAM at `stages.3`, 2 x 4 cells, the first centred 0.5 rows and "
            "8 columns from the upper left, the others 16 rows and 12 columns apart",
        ),
    ],
)
def test_the_page_changes_with_the_card(changes: dict[str, object], line: str) -> None:
    changed: ModelCard = card(**changes)
    assert line in model_card_page(changed).splitlines()


def test_the_page_says_which_lungs_are_plausible() -> None:
    limits = LungLimits(area=(0.1, 0.6), balance=0.5, stray=0.02)
    page = model_card_page(card(lung_limits=limits))
    assert "they must cover 0.1 to 0.6 of the film" in page
    assert "at least 0.5 of the other's lung area, and at most 0.02 of" in page
    assert "plausible lungs" not in model_card_page(card())


def test_the_page_says_what_storing_the_weights_costs() -> None:
    storage = WeightStorage(kind="int8", auroc_difference=-0.001, evidence_correlation=0.99)
    page = model_card_page(card(storage=storage))
    assert "stored as int8" in page
    assert "the macro AUROC by -0.0010 and leaves an evidence correlation of 0.9900" in page


def test_the_verb_writes_the_page_beside_the_model(tmp_path: Path) -> None:
    assert cxr.main(["model-card", str(write_model(tmp_path))]) == 0
    assert (tmp_path / "tiny.MODEL_CARD.md").read_text() == model_card_page(card())
