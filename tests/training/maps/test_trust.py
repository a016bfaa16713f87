"""Maps are compared with those of randomised networks, and the verdict follows from that."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import cxr
from training.maps.randomisation import (
    ExplainedFilms,
    WeightBlock,
    cascade,
    floor,
    kept,
    last_block,
    maps_of,
    randomised,
    randomised_maps,
    weight_blocks,
)
from training.maps.trust import doubts
from training.onnx_files.graph_weights import GraphWeights
from xai.explainer import Explainer
from xai.measures.trust import Figure, Likeness, Trust, randomisation_verdict, read_trust, survives

pytestmark = pytest.mark.slow

NOTHING = WeightBlock("nothing", ())


def films(model: Path, number: int = 6) -> ExplainedFilms:
    random = np.random.default_rng(0)
    pixels = random.random((number, 1, 64, 64), np.float32) ** random.uniform(
        1, 3, (number, 1, 1, 1)
    )
    pixels, classes = pixels.astype(np.float32), np.arange(number) % 2
    maps = maps_of(onnx.load(model), pixels, classes)
    return ExplainedFilms(pixels, classes, tuple(map(str, range(number))), maps)


def likeness(correlation: float, what: str = "head") -> Likeness:
    figure = Figure(estimate=correlation, low=correlation - 0.1, high=correlation + 0.1)
    return Likeness(what=what, rank_correlation=figure, similarity=figure, films=9, seeds=2)


@pytest.fixture(scope="module")
def trusted(spot_model: Path, spot_manifest: Path) -> Trust:
    options = ["--films", "8", "--seeds", "2", "--beside", str(spot_model)]
    assert cxr.main(["trust", str(spot_model), "--data", str(spot_manifest), *options]) == 0
    trust = read_trust(spot_model, Explainer(spot_model).sha256)
    assert trust
    return trust


def test_parts_go_from_the_head_down_to_the_pixels(spot_model: Path) -> None:
    found = [part.name for part in weight_blocks(GraphWeights(onnx.load(spot_model)).names)]
    assert (found[0], found[1], found[-1]) == ("head", "stages.3.1", "stem")


def test_the_cascade_ends_with_every_weight(spot_model: Path) -> None:
    blocks = weight_blocks(GraphWeights(onnx.load(spot_model)).names)
    *_, last = cascade(blocks)
    assert sorted(last.weights) == sorted(w for block in blocks for w in block.weights)


def test_with_nothing_drawn_anew_the_map_is_the_same(spot_model: Path) -> None:
    found = kept(onnx.load(spot_model), NOTHING, films(spot_model), [0])
    assert (found.rank_correlation.low, found.similarity.low) == (pytest.approx(1),) * 2


def test_a_random_head_changes_the_map_and_other_seeds_otherwise(spot_model: Path) -> None:
    graph = onnx.load(spot_model)
    head = weight_blocks(GraphWeights(graph).names)[0]
    first, second = (kept(graph, head, films(spot_model), [seed]) for seed in (0, 1))
    assert first.rank_correlation.estimate < 0.95
    assert first != second


def test_maps_are_those_of_the_whole_graph_though_what_lies_before_is_asked_once(
    spot_model: Path,
) -> None:
    graph, seen = onnx.load(spot_model), films(spot_model, 20)
    for part in weight_blocks(GraphWeights(graph).names):
        whole = maps_of(randomised(graph, part, 1), seen.pixels, seen.classes)
        (found,) = randomised_maps(graph, part, seen, [1])
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_drawn_weights_are_those_before_training(spot_model: Path) -> None:
    graph = onnx.load(spot_model)
    block = last_block(weight_blocks(GraphWeights(graph).names))
    drawn = GraphWeights(randomised(graph, block, 0))
    weight, bias = "stages.3.1.conv1.weight", "stages.3.1.conv1.weight_bias"
    assert drawn.read(weight).std() == pytest.approx(np.sqrt(2 / (192 * 9)), rel=0.01)
    assert not drawn.read(bias).any()
    np.testing.assert_array_equal(
        drawn.read("head.weight"), GraphWeights(graph).read("head.weight")
    )


def test_a_network_that_lets_nothing_through_is_no_proof(
    spot_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(spec: object, seed: int) -> dict[str, np.ndarray]:
        return {
            name: np.zeros(n, np.float32) for name, n in (("head.weight", 384), ("head.bias", 2))
        }

    monkeypatch.setattr("training.maps.randomisation.untrained", nothing)
    head = WeightBlock("head", ("head.weight", "head.bias"))
    with pytest.raises(ValueError, match="with the head randomised a map is constant"):
        kept(onnx.load(spot_model), head, films(spot_model), [0])


def test_the_last_block_is_the_one_before_the_head(spot_model: Path) -> None:
    block = last_block(weight_blocks(GraphWeights(onnx.load(spot_model)).names))
    assert {weight.rpartition(".conv")[0] for weight in block.weights} == {"stages.3.1"}


def test_of_vgg16_the_last_block_is_its_last_stage() -> None:
    names = [f"trunk.{n}.weight" for n in (17, 19, 21, 24, 26, 28)]
    block = last_block(weight_blocks([*names, "head.weight"]))
    assert sorted(block.weights) == ["trunk.24.weight", "trunk.26.weight", "trunk.28.weight"]


def test_films_of_one_patient_are_not_unrelated(spot_model: Path) -> None:
    seen = films(spot_model)
    with pytest.raises(ValueError, match="two patients or more"):
        floor(ExplainedFilms(seen.pixels, seen.classes, ("one",) * 6, seen.maps), [0])


def test_the_figures_lie_beside_the_file_they_belong_to(trusted: Trust, spot_model: Path) -> None:
    assert (trusted.films, trusted.split, trusted.head.seeds) == (8, "val", 2)
    assert len(trusted.cascade) == len(trusted.independent) == 10
    assert read_trust(spot_model, "0" * 64) is None


def test_a_model_agrees_with_itself(trusted: Trust) -> None:
    (companion,) = trusted.companions
    assert companion.rank_correlation.low == pytest.approx(1)
    assert companion.top_tenth_overlap.low == pytest.approx(1)


def test_figures_that_make_no_sense_are_refused(spot_model: Path, trusted: Trust) -> None:
    file = spot_model.with_suffix(".trust.json")
    before = file.read_text()
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"spot_cnn\.trust\.json is not valid"):
        read_trust(spot_model, trusted.sha256)
    file.write_text(before)


def test_a_map_survives_from_a_tenth_above_the_floor_on() -> None:
    least = likeness(0.3, "two unrelated films")
    assert [survives(likeness(value), least) for value in (0.39, 0.41)] == [False, True]
    assert "SURVIVES a random head" in randomisation_verdict(likeness(0.41), least)
    assert "depends on the head" in randomisation_verdict(likeness(0.39), least)


def test_the_short_form_warns_of_what_survives(
    spot_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xai.measures.trust.ALLOWED_ABOVE_FLOOR", -2)
    head, block = doubts(spot_model, films(spot_model), seeds=1)
    assert "random head" in head
    assert "random last block" in block
    monkeypatch.setattr("xai.measures.trust.ALLOWED_ABOVE_FLOOR", 2)
    assert doubts(spot_model, films(spot_model), seeds=1) == []


def test_no_film_is_too_few(spot_model: Path, spot_manifest: Path) -> None:
    asked = ["trust", str(spot_model), "--data", str(spot_manifest), "--films", "0"]
    assert cxr.main(asked) == 1
