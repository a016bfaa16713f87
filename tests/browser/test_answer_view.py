"""Tests of the answer's views: meaning of thresholds, distance, facts, and the model's card."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from models.card import DecisionThreshold, Histogram, Metric, TrainingData, WeightStorage
from service.app import create_app
from service.settings import Settings
from tests.browser.axe import violations
from tests.browser.films import EFFUSION, NORMAL, PNEUMONIA, all_bright, bright_square
from tests.browser.reader import Reader
from tests.support.running_server import serving
from tests.support.tiny_model import write_model

pytestmark = pytest.mark.browser

CHANGES: dict[str, Any] = {
    "decision_thresholds": [
        DecisionThreshold(value=0.9, sensitivity=0.91, specificity=0.88),
        DecisionThreshold(
            value=0.1, sensitivity=0.95, specificity=0.7, criterion="sensitivity 95% on val"
        ),
        DecisionThreshold(value=0.1, sensitivity=1, specificity=0.5, criterion="a guess"),
    ],
    "metrics": [
        Metric(name="auroc", split="val", class_name="normal", estimate=0.5, low=0.4, high=0.6),
        Metric(name="auroc", split="test", class_name="normal", estimate=0.97, low=0.95, high=0.98),
        Metric(
            name="expected_calibration_error_scaled",
            split="test",
            estimate=0.0486,
            low=0.027,
            high=0.072,
        ),
    ],
    "distance_histogram": Histogram(edges=(2, 4, 6, 8, 10), counts=(25, 50, 23, 2)),
    "novelty_histogram": Histogram(edges=(1, 2, 3), counts=(80, 20)),
    "confidence_threshold": 0.3,
    "storage": WeightStorage(kind="int8", auroc_difference=0.0003, evidence_correlation=0.9995),
    "training_data": TrainingData(
        manifest_sha256="a1",
        split_sha256="b2",
        films={"train": 3188, "val": 438},
        description="Of X.",
    ),
    "limits": ("Frontal films only.", "Knows three classes."),
    "credits": ("Films of Y.",),
    "backprop_report_sha256": "c" * 64,
}

SHOW = """
async (answer) => {
  const [{ modelDescription }, { showFindings }, { showFacts }, { CardDialog }] =
    await Promise.all([
      import("/page/api.js"),
      import("/answer/findings_view.js"),
      import("/answer/facts_view.js"),
      import("/answer/card_view.js"),
    ]);
  const { sha256, card, trust } = await modelDescription("tiny");
  const dialog = new CardDialog(document.body);
  const selected = document.querySelector("input[name=finding]:checked").value;
  const findings = document.getElementById("findings");
  showFindings(findings, answer, { card, selected, onSelect: () => {} });
  const onCard = () => dialog.show({ sha256, card, trust });
  showFacts(document.getElementById("facts"), answer, { card, onCard });
}
"""
SHOW_TRUST = """
async (verdict) => {
  const { modelDescription } = await import("/page/api.js");
  const { CardDialog } = await import("/answer/card_view.js");
  const { sha256, card } = await modelDescription("tiny");
  new CardDialog(document.body).show({ sha256, card, trust: { verdict } });
}
"""
LATER = """
async (answer) => {
  const { showFindings, showMeaning } = await import("/answer/findings_view.js");
  const { card } = await (await import("/page/api.js")).modelDescription("tiny");
  const findings = document.getElementById("findings");
  showFindings(findings, answer, { selected: "normal", onSelect: () => {} });
  const before = findings.textContent;
  showMeaning(findings, card);
  return [before, findings.textContent];
}
"""
SHARES = """
async ([histogram, distances]) => {
  const { shareBeyond } = await import("/answer/distance_view.js");
  return distances.map((distance) => shareBeyond(histogram, distance));
}
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server listens whose tiny model has a full card."""
    model = write_model(tmp_path_factory.mktemp("models"), **CHANGES)
    with serving(create_app(Settings(models=model, own_models=False))) as client:
        yield str(client.base_url).rstrip("/")


def answer_to(reader: Reader, film: bytes) -> Any:
    with reader.page.expect_response("**/v1/explain*") as asked:
        reader.opens(film)
    return asked.value.json()


@pytest.fixture
def shown(reader: Reader) -> Callable[[bytes], Reader]:
    """Open a film, and show its answer with the card."""

    def shown(film: bytes) -> Reader:
        reader.page.evaluate(SHOW, answer_to(reader, film))
        return reader

    return shown


def meaning(reader: Reader) -> Locator:
    return reader.page.locator(".meaning:visible")


def card_of(reader: Reader) -> Locator:
    reader.presses("Model card")
    return reader.page.get_by_role("dialog", name="Model card: tiny 1.2.3")


def test_the_chosen_finding_says_what_its_threshold_was_chosen_for(
    shown: Callable[[bytes], Reader],
) -> None:
    reader = shown(bright_square())
    expect(meaning(reader)).to_have_text(
        "Threshold chosen on validation films for the largest Youden index: there it finds "
        "91\u202f% of positive films and rightly clears 88\u202f% of negative ones. "
        "AUROC 0.970 (0.950 to 0.980) on the model\u2019s test films."
    )
    reader.chooses(PNEUMONIA)
    expect(meaning(reader)).to_contain_text("on validation films for sensitivity 95%: there it")
    expect(meaning(reader)).to_contain_text("card has no AUROC for this class")
    reader.chooses(EFFUSION)
    expect(meaning(reader)).to_contain_text("Threshold chosen for a guess: there it finds 100")


def test_a_screen_reader_hears_the_meaning_with_the_finding(
    shown: Callable[[bytes], Reader],
) -> None:
    radio = shown(bright_square()).page.get_by_role("radio", name=NORMAL)
    expect(radio).to_have_accessible_description(re.compile("^Threshold chosen on validation"))


def test_the_figures_are_not_claimed_for_a_film_that_is_refused(
    shown: Callable[[bytes], Reader],
) -> None:
    reader = shown(all_bright())
    expect(meaning(reader)).to_contain_text("This one is unlike them")
    expect(reader.finding(NORMAL)).to_contain_text("No decision")


def test_the_meaning_is_filled_in_when_the_card_comes_later(reader: Reader) -> None:
    before, after = reader.page.evaluate(LATER, answer_to(reader, bright_square()))
    assert "Youden" not in before
    assert "Youden" in after


def test_the_share_of_films_beyond_a_distance_is_counted_from_the_histogram(
    reader: Reader,
) -> None:
    shares = {0: 1, 2: 1, 4: 0.75, 5: 0.5, 9: 0.01, 10: 0, 99: 0}
    histogram = CHANGES["distance_histogram"].model_dump()
    counted = reader.page.evaluate(SHARES, [histogram, list(shares)])
    assert counted == pytest.approx(list(shares.values()))


def test_a_film_among_the_validation_films_is_placed_there(
    shown: Callable[[bytes], Reader],
) -> None:
    facts = shown(bright_square()).page.locator("#facts")
    expect(facts).to_contain_text(
        "Like them: at or below the limit of 8, nearer than about 71\u202f% of the validation films"
    )
    expect(facts.get_by_role("img")).to_have_accessible_name(
        re.compile("validation films\u2019 distances, with the limit at 8 and this film at 4.14$")
    )


def test_a_film_beyond_the_limit_is_placed_there(
    shown: Callable[[bytes], Reader],
) -> None:
    facts = shown(all_bright()).page.locator("#facts")
    expect(facts).to_contain_text(
        "Unlike them: above the limit of 8, farther than nearly every validation"
    )


def test_a_film_acquired_as_none_of_the_training_is_placed_there(reader: Reader) -> None:
    novel = {"novelty": 3.1, "novelty_threshold": 2.4}
    refused = {"in_distribution": False, "refusals": ["novelty"]}
    reader.page.evaluate(SHOW, answer_to(reader, bright_square()) | novel | refused)
    facts = reader.page.locator("#facts")
    expect(facts).to_contain_text(
        "Acquired in a way that training never saw: above the limit of 2.4, more novel than every "
        "validation film"
    )
    expect(facts).to_contain_text("Like them: at or below the limit of 8")
    expect(facts.get_by_role("img")).to_have_count(2)
    expect(facts.get_by_role("img").last).to_have_accessible_name(
        re.compile("validation films\u2019 novelties, with the limit at 2.4 and this film at 3.1$")
    )


def test_a_novelty_without_a_limit_is_told_and_none_is_not(reader: Reader) -> None:
    answer = answer_to(reader, bright_square())
    reader.page.evaluate(SHOW, answer | {"novelty": 3.1, "novelty_threshold": None})
    facts = reader.page.locator("#facts")
    expect(facts).to_contain_text("3.1 The model has no limit for it")
    reader.page.evaluate(SHOW, answer)
    expect(facts).not_to_contain_text("Novelty")


def test_the_chart_marks_the_limit_and_the_film_on_one_scale(
    shown: Callable[[bytes], Reader],
) -> None:
    chart = shown(bright_square()).page.locator(".distance-chart")
    whole, bars = chart.bounding_box(), chart.locator("rect")
    film, limit = chart.locator(".film").bounding_box(), chart.locator(".limit").bounding_box()
    assert whole
    assert film
    assert limit
    assert bars.count() == 4
    assert (limit["x"] - whole["x"]) / whole["width"] == pytest.approx(0.8, abs=0.01)
    middle = film["x"] + film["width"] / 2
    assert (middle - whole["x"]) / whole["width"] == pytest.approx(0.414, abs=0.01)


def test_the_card_says_all_that_the_model_is_good_for(shown: Callable[[bytes], Reader]) -> None:
    card = card_of(shown(bright_square()))
    for words in (
        "Research use only",
        "tests",
        "Frontal films only.",
        "0.049 (0.027 to 0.072), test films",
        "No decision where no class reaches 30\u202f%",
        "int8",
        "Of X.",
        "Films of Y.",
        "c" * 64,
        "a1",
    ):
        expect(card).to_contain_text(words)
    assert "iVBOR" not in card.inner_text()  # the golden film


def test_the_card_says_that_nobody_measured_the_maps(shown: Callable[[bytes], Reader]) -> None:
    card = card_of(shown(bright_square()))
    section = card.locator("section", has_text="How far the map can be trusted")
    expect(section).to_contain_text("Nobody has measured it for this file.")


def test_the_card_says_how_far_the_map_can_be_trusted(reader: Reader) -> None:
    verdict = ["The map depends on the head.", "The map SURVIVES a random last block."]
    reader.page.evaluate(SHOW_TRUST, verdict)
    section = reader.page.locator("section", has_text="How far the map can be trusted")
    expect(section.get_by_role("listitem")).to_have_text(verdict)


def test_the_tables_of_the_card_have_headings_for_rows_and_columns(
    shown: Callable[[bytes], Reader],
) -> None:
    card = card_of(shown(bright_square()))
    decisions = card.get_by_role("row", name="Pneumonia 10\u202f% 95\u202f% 70\u202f%")
    expect(decisions.locator("th[scope=row]")).to_have_text("Pneumonia")
    figures = card.get_by_role("row", name="AUROC Normal test 0.970 0.950 to 0.980")
    expect(figures.locator("th[scope=row]")).to_have_text("AUROC")
    expect(card.get_by_role("row", name="training 3188")).to_be_visible()
    expect(card.locator("th[scope=col]", has_text="Specificity")).to_be_visible()


@pytest.mark.parametrize("way", ["Close", "Escape"])
def test_the_focus_returns_to_the_button_that_opened_the_card(
    shown: Callable[[bytes], Reader], way: str
) -> None:
    reader = shown(bright_square())
    card = card_of(reader)
    expect(card.get_by_role("button", name="Close")).to_be_focused()
    reader.page.keyboard.press("Escape") if way == "Escape" else reader.presses("Close")
    expect(card).to_be_hidden()
    expect(reader.page.get_by_role("button", name="Model card")).to_be_focused()


@pytest.mark.parametrize("film", [bright_square(), all_bright()], ids=["answered", "refused"])
def test_an_answer_with_its_card_has_no_violation(
    shown: Callable[[bytes], Reader], film: bytes
) -> None:
    reader = shown(film)
    assert violations(reader.page) == []
    expect(card_of(reader)).to_be_visible()
    assert violations(reader.page) == []
