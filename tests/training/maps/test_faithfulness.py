"""`cxr faithfulness` on drawn films and networks that look at chosen cells."""

import json
from pathlib import Path

import numpy as np
import pytest

import cxr
from tests.support.cell_network import CELLS, write_cell_network
from training.commands.faithfulness import sentences
from training.data.manifest import Film, of_split, read_manifest
from training.data.phantom import write_phantom_set
from training.maps.faithfulness import faithfulness_report, right_films
from xai.explainer import Explainer
from xai.measures.faithfulness import tenth_films

NAMES = ("effusion", "normal")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the manifest of drawn films of two classes is."""
    drawn = write_phantom_set(tmp_path_factory.mktemp("films"), patients=120, columns=64)
    rows = drawn.read_text().splitlines(keepends=True)
    two = drawn.with_name("two.csv")
    two.write_text("".join(r for r in rows if ",nodule," not in r and ",opacity," not in r))
    return two


@pytest.fixture(scope="module")
def model(manifest: Path) -> Path:
    films = of_split(read_manifest(manifest), "train")
    everywhere = np.ones((CELLS, CELLS), bool)
    return write_cell_network(films, NAMES, manifest.with_name("cells.onnx"), looks_at=everywhere)


@pytest.fixture(scope="module")
def films(manifest: Path) -> list[Film]:
    return [film for film in read_manifest(manifest) if film.split != "train"][::5]


def test_only_films_rightly_classified_are_asked(model: Path, films: list[Film]):
    explainer = Explainer(model)
    for one in right_films(explainer, films):
        assert explainer.card.class_names[one.number] == one.film.label
        assert one.probability > 0.5


def test_a_network_whose_map_is_all_it_sums_is_faithful(model: Path, films: list[Film]):
    made = faithfulness_report(Explainer(model), films, curves=3)
    figures = {figure.name: figure for figure in made.figures}
    assert made.figures[0].estimate >= 0.8
    assert "at least 0.80 is met" in "\n".join(sentences(made))
    assert figures["gap"].low > 0
    assert figures["deletion, area"].films == 3
    assert {"insertion, area", "ROAD", "average drop, random map"} < set(figures)


def test_a_map_upside_down_is_found_out(
    model: Path, films: list[Film], monkeypatch: pytest.MonkeyPatch
):
    made = faithfulness_report(Explainer(model), films, curves=0)
    monkeypatch.setattr(
        "training.maps.faithfulness.tenth_films",
        lambda pixels, evidence, cells: tenth_films(pixels, -evidence, cells),
    )
    turned = faithfulness_report(Explainer(model), films, curves=0)
    assert turned.figures[0].estimate < 0.5 < made.figures[0].estimate
    assert "is not met" in "\n".join(sentences(turned))


def test_the_command_writes_every_film(model: Path, manifest: Path, tmp_path: Path):
    arguments = ["--manifest", str(manifest), "--films", "6", "--curves", "1"]
    output = tmp_path / "out.json"
    assert cxr.main(["faithfulness", str(model), *arguments, "-o", str(output)]) == 0
    written = json.loads(output.read_text())
    assert written["asked"] == 6
    assert len(written["films"]) == written["figures"][0]["films"]


def test_no_film_is_said_in_a_sentence(
    model: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["--manifest", str(manifest), "--films", "0"]
    assert cxr.main(["faithfulness", str(model), *arguments]) == 1
    assert "--films must be at least 1, not 0" in capsys.readouterr().err
