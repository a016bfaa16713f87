"""Subgroups give their size, and no figure where they are too small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.support.drawn_answers import evaluation, films
from training.config import DataConfig
from training.evaluation.evaluation import Evaluation
from training.evaluation.subgroups import (
    Contrast,
    SubgroupFigure,
    case_mix,
    contrasts,
    subgroup_figures,
)


@pytest.fixture(scope="module")
def asked() -> Evaluation:
    return evaluation(films(120), skill=1)


@pytest.fixture(scope="module")
def found(asked: Evaluation) -> dict[tuple[str, str, str], SubgroupFigure]:
    return {(s.attribute, s.value, s.class_name): s for s in subgroup_figures([asked])}


@pytest.fixture(scope="module")
def pairs(asked: Evaluation) -> dict[tuple[str, str, str], Contrast]:
    return {(c.source, c.positive, c.negative): c for c in contrasts([asked], films(90, "train"))}


def test_a_subgroups_auroc_is_that_of_its_films(asked, found) -> None:
    rows = np.array([film.view == "AP" for film in asked.films])
    expected = roc_auc_score(asked.is_class[rows, 1], asked.probabilities[rows, 1])
    subgroup = found["view", "AP", "pneumonia"]
    assert subgroup.auroc["tiny 1.2.3"].estimate == pytest.approx(expected)
    assert subgroup.positives + subgroup.negatives == rows.sum()


def test_recall_needs_no_other_class(asked, found) -> None:
    subgroup = found["source", "<hospital>", "pneumonia"]
    rows = np.array([film.source == "<hospital>" for film in asked.films]) & asked.is_class[:, 1]
    expected = (asked.probabilities[rows].argmax(axis=1) == 1).mean()
    assert subgroup.recall["tiny 1.2.3"].estimate == pytest.approx(expected)


def test_a_subgroup_that_is_too_small_has_no_figure(found) -> None:
    subgroup = found["age_group", "child", "normal"]
    assert (subgroup.positives, subgroup.negatives) == (1, 0)
    assert subgroup.auroc == subgroup.recall == {}


def test_every_film_is_in_one_subgroup_of_an_attribute(found) -> None:
    for attribute in ("source", "age_group", "sex", "view"):
        sizes = [s.positives for s in found.values() if s.attribute == attribute]
        assert sum(sizes) == 120


def test_a_contrast_ranks_two_classes_of_one_source(asked, pairs) -> None:
    rows = [f.source == "clinic" and f.label != "effusion" for f in asked.films]
    logits = asked.logits[rows]
    expected = roc_auc_score(asked.is_class[rows, 1], logits[:, 1] - logits[:, 0])
    contrast = pairs["clinic", "pneumonia", "normal"]
    assert contrast.auroc["tiny 1.2.3"].estimate == pytest.approx(expected)
    assert contrast.films == (20, 40)


def test_view_alone_is_fitted_on_train_and_measured_here(asked, pairs) -> None:
    of_pair = [f for f in asked.films if f.source == "clinic" and f.label != "effusion"]
    is_ap = [film.view == "AP" for film in of_pair]
    expected = roc_auc_score([film.label == "pneumonia" for film in of_pair], is_ap)
    assert expected > 0.8
    assert pairs["clinic", "pneumonia", "normal"].view_alone.estimate == pytest.approx(expected)


def test_where_train_has_the_views_the_other_way_round_view_alone_is_wrong(asked, pairs) -> None:
    other = {"AP": "PA", "PA": "AP"}
    mirrored = [replace(film, view=other[film.view]) for film in films(90, "train")]
    found = next(c for c in contrasts([asked], mirrored) if c.source == "clinic")
    as_it_is = pairs["clinic", found.positive, found.negative]
    assert found.view_alone.estimate == pytest.approx(1 - as_it_is.view_alone.estimate)


def test_without_training_films_there_is_no_view_alone(asked) -> None:
    contrast = next(contrasts([asked], []))
    assert contrast.view_alone is None
    assert contrast.auroc


def test_a_contrast_of_few_films_is_not_measured() -> None:
    for contrast in contrasts([evaluation(films(30))], films(30, "train")):
        assert min(contrast.films) < 10 or contrast.auroc
    assert any(not c.auroc for c in contrasts([evaluation(films(30))], []))


def test_the_case_mix_counts_films_and_groups_of_each_split() -> None:
    counted = {(mix.attribute, mix.value): mix for mix in case_mix(films(6) + films(3, "val"))}
    assert counted["label", "normal"].films == {"test": 2, "val": 1}
    assert counted["view", "PA"].groups == {"test": 2, "val": 1}


def test_subgroups_by_origin_join_its_sources(asked) -> None:
    sources = sorted({film.source for film in asked.films})
    data = DataConfig(manifest=Path("m.csv"), description="", origins={"all": tuple(sources)})
    found = {(s.attribute, s.value, s.class_name): s for s in subgroup_figures([asked], data)}
    own = found["origin", "all", "pneumonia"]
    assert own.positives == asked.is_class[:, 1].sum()
    expected = roc_auc_score(asked.is_class[:, 1], asked.probabilities[:, 1])
    assert own.auroc["tiny 1.2.3"].estimate == pytest.approx(expected)
    assert len(sources) > 1
    counted = {
        mix.value: mix.films for mix in case_mix(films(6), data) if mix.attribute == "origin"
    }
    assert counted == {"all": {"test": 6}}


def test_without_a_config_no_origin_is_named(found) -> None:
    assert "origin" not in {attribute for attribute, _, _ in found}
