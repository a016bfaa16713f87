"""A model's description holds what was measured of its maps, if it is of this very file."""

import logging
from pathlib import Path

import pytest

from service.answers.model_description import description
from tests.support.tiny_model import write_model
from xai.explainer import Explainer
from xai.measures.trust import Figure, Likeness, Trust, trust_file


def trust(explainer: Explainer, **changes: str) -> Trust:
    figure = Figure(estimate=0.2, low=0.1, high=0.3)
    likeness = Likeness(what="head", rank_correlation=figure, similarity=figure, films=9, seeds=2)
    parts = dict.fromkeys(("floor", "head", "last_block", "noise", "shift"), likeness)
    fields = {
        "name": explainer.card.name,
        "version": explainer.card.version,
        "sha256": explainer.sha256,
        "code_revision": "0",
        "packages": {"numpy": "2"},
        "manifest_sha256": "0" * 64,
        "films": 9,
        "groups": 9,
    }
    return Trust(**fields | parts | changes)


@pytest.fixture
def explainer(tmp_path: Path) -> Explainer:
    return Explainer(write_model(tmp_path))


def test_nothing_measured_is_null(explainer: Explainer) -> None:
    assert description(explainer).trust is None


def test_the_verdict_is_said_in_words(explainer: Explainer) -> None:
    trust_file(explainer.file).write_text(trust(explainer).model_dump_json())
    found = description(explainer).trust
    assert found
    assert found.figures == trust(explainer)
    assert found.verdict[0].startswith("The map depends on the head")


def test_figures_of_another_file_are_left_out(explainer: Explainer) -> None:
    other = trust(explainer, sha256="1" * 64)
    trust_file(explainer.file).write_text(other.model_dump_json())
    assert description(explainer).trust is None


def test_figures_that_make_no_sense_are_logged_and_left_out(
    explainer: Explainer, caplog: pytest.LogCaptureFixture
) -> None:
    trust_file(explainer.file).write_text("{}")
    with caplog.at_level(logging.ERROR):
        assert description(explainer).trust is None
    assert "tiny.trust.json is not valid" in caplog.text
