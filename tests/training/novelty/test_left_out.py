"""Films of an origin left out are told from those at home, and from nothing but their figures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cxr
from tests.support.bright_spot import config, write_config
from training.commands import novelty as command
from training.config import Config
from training.data.manifest import Film, Split
from training.evaluation.leave_out import LeftOut
from training.fitting.run_folder import RunFolder
from training.novelty.left_out import MeasuredFilms, left_out_novelty

ORIGINS = ("north", "south", "west")
STATISTICS = 6


def film(number: int, split: Split) -> Film:
    """Return a film of one of three sources; two in a row are of one group."""
    return Film(
        path=Path(f"{number}.png"),
        label=("ill", "normal")[number % 2],
        patient_id=f"p{number // 2}",
        group_id=f"g{number // 2}",
        source=ORIGINS[number % 3],
        split=split,
    )


def measured(shift: float, *, features: bool = False, seed: int = 0) -> MeasuredFilms:
    """Return films of three origins, the west's shifted along one statistic."""
    splits: list[Split] = ["train"] * 900 + ["val"] * 300 + ["test"] * 300
    films = tuple(film(number, split) for number, split in enumerate(splits))
    origins = tuple(one.source for one in films)
    random = np.random.default_rng(seed)
    statistics = random.normal(size=(len(films), STATISTICS)).astype(np.float32)
    statistics[:, 0] += np.float32(shift) * np.array([own == "west" for own in origins])
    return MeasuredFilms(films, origins, statistics, statistics if features else None)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return config(tmp_path_factory.mktemp("recipe") / "manifest.csv")


def test_films_of_one_distribution_are_not_told_apart(recipe: Config) -> None:
    """The AUROC is one half within its error, and as many are flagged as the limit lets pass."""
    result = left_out_novelty(recipe, measured(0.0), "test")
    assert [one.origin for one in result.origins] == list(ORIGINS)
    assert result.novelty_auroc.low < 0.5 < result.novelty_auroc.high
    for one in result.origins:
        assert (one.films, one.home, one.split) == (100, 200, "test")
        assert one.novelty.auroc.low < 0.5 < one.novelty.auroc.high
        for share in (one.novelty.flagged, one.novelty.flagged_at_home):
            assert share.estimate == pytest.approx(0.05, abs=0.05)
    assert result.distance_auroc is None
    assert [(one.value, one.films) for one in result.at_home[:2]] == [("ill", 150), ("normal", 150)]
    assert all(one.flagged.estimate < 0.15 for one in result.at_home)


def test_an_origin_acquired_otherwise_is_told_when_it_is_left_out(recipe: Config) -> None:
    result = left_out_novelty(recipe, measured(8.0, features=True), "test")
    west = result.origins[2]
    for told in (west.novelty, west.distance):
        assert told is not None
        assert told.auroc.estimate > 0.99
        assert told.flagged.estimate > 0.95
        assert told.flagged_at_home.estimate < 0.15
    aurocs = [one.novelty.auroc.estimate for one in result.origins]
    assert result.novelty_auroc.estimate == pytest.approx(np.mean(aurocs))
    assert result.distance_auroc is not None


def test_the_limit_and_the_fit_know_nothing_of_the_origin_left_out() -> None:
    films = measured(8.0, features=True)
    west = films.from_origin("west")
    other = films.statistics.copy()
    other[west] = 50 + np.random.default_rng(1).normal(size=other[west].shape)
    changed = replace(films, statistics=other, features=other)
    for name in ("novelty_without", "distance_without"):
        values, limit = getattr(films, name)("west")
        again, same_limit = getattr(changed, name)("west")
        assert limit == same_limit
        np.testing.assert_array_equal(values[~west], again[~west])


def test_an_origin_without_films_in_the_split_lends_those_of_train(recipe: Config) -> None:
    films = measured(8.0)
    keep = ~(films.from_origin("west") & ~films.of("train"))
    fewer = MeasuredFilms(
        tuple(one for one, kept in zip(films.films, keep, strict=True) if kept),
        tuple(one for one, kept in zip(films.origins, keep, strict=True) if kept),
        films.statistics[keep],
    )
    west = left_out_novelty(recipe, fewer, "test").origins[2]
    assert (west.split, west.films, west.home) == ("train", 300, 200)
    assert west.novelty.auroc.estimate > 0.99


def test_one_origin_alone_is_refused(recipe: Config) -> None:
    films = measured(0.0)
    alone = replace(films, origins=("north",) * len(films.films))
    with pytest.raises(ValueError, match="two origins or more"):
        left_out_novelty(recipe, alone, "val")


@pytest.mark.slow
def test_the_command_measures_a_checkpoint_and_asks_what_is_right(
    spot_manifest: Path,
    spot_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = spot_manifest.read_text().splitlines()
    places = [line.split(",") for line in lines]
    column = places[0].index("source")
    for number, place in enumerate(places[1:]):
        place[column] = ORIGINS[number % 3]
        place[0] = str(spot_manifest.parent / place[0])
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(",".join(place) for place in places))

    def scores(config: Config, films: object, folder: Path, *, seeds: int, device: str):
        said = np.random.default_rng(0).dirichlet((1, 1), (seeds, 48))
        return LeftOut(said, said > 0.3)

    monkeypatch.setattr(command, "left_out_scores", scores)
    output, picture = tmp_path / "novelty.json", tmp_path / "risk.png"
    words = ["novelty", str(write_config(manifest)), "--split", "test"]
    words += ["--checkpoint", str(spot_run.best), "--scores", str(tmp_path)]
    assert cxr.main([*words, "-o", str(output), "--picture", str(picture)]) == 0
    found = json.loads(output.read_text())
    assert [one["origin"] for one in found["origins"]] == list(ORIGINS)
    assert found["statistics"] == 26
    assert found["distance_auroc"]
    assert found["risk"]["films"] == 48
    assert [one["score"] for one in found["risk"]["by_score"]] == ["novelty", "uncertainty"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "mean over origins: novelty AUROC" in text
    assert "refused by uncertainty: area" in text
