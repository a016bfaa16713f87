"""Tests of the page with groups of classes: listed, mapped and kept as classes are."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from pypdf import PdfReader

from service.app import create_app
from service.settings import Settings
from tests.browser.films import all_bright, bright_square
from tests.browser.reader import Reader, reading
from tests.browser.test_keeping import keeps
from tests.support.running_server import serving
from tests.support.tiny_groups import write_group_model

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def reader(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    model = write_group_model(tmp_path_factory.mktemp("groups"))
    app = create_app(Settings(models=model, own_models=False))
    with (
        serving(app) as client,
        reading(browser, str(client.base_url).rstrip("/")) as reader,
    ):
        reader.opens(bright_square())
        yield reader
        assert reader.faults == []


def test_groups_stand_below_the_classes_and_are_decided_at_their_own_threshold(
    reader: Reader,
) -> None:
    names = reader.page.locator("label.finding .name")
    expect(names).to_have_count(5)
    assert [text.split()[0] for text in names.all_inner_texts()[3:]] == ["Abnormal", "Harmless"]
    expect(reader.finding("Abnormal")).to_contain_text("Called: at or above")
    expect(reader.finding("Harmless")).to_contain_text("Not called: below")
    expect(reader.page.locator("#summary")).to_contain_text("Abnormal 5")


def test_a_chosen_group_names_its_classes_and_shows_its_map_on_its_own_scale(
    reader: Reader,
) -> None:
    reader.chooses("Pneumonia")
    reader.chooses("Abnormal")
    meaning = reader.page.locator(".meaning:visible")
    expect(meaning).to_contain_text("One of: Pneumonia, Effusion.")
    expect(meaning).to_contain_text("finds 93")
    assert "Where the model sees \u201cAbnormal\u201d" in reader.explanation()
    assert np.ptp(reader.sees("mapped"), axis=-1).max() > 20
    controls = reader.page.locator("#map-controls")
    expect(controls).to_contain_text("Full colour from 2.5: one scale for every film")


def test_keys_step_through_groups_too(reader: Reader) -> None:
    reader.chooses("Abnormal")
    reader.page.keyboard.press(".")
    expect(reader.page.get_by_role("radio", name="Harmless")).to_be_checked()
    reader.page.keyboard.press(".")
    expect(reader.page.locator("input[value='normal']")).to_be_checked()


def test_the_report_lists_groups_and_shows_the_chosen_ones_map(reader: Reader) -> None:
    reader.chooses("Abnormal")
    _, pdf = keeps(reader, "report")
    words = " ".join(PdfReader(io.BytesIO(pdf)).pages[0].extract_text().split())
    assert "Evidence map: Abnormal" in words
    assert "Harmless" in words
    assert "93 % / 81 %" in words


def test_the_card_has_the_thresholds_of_groups(reader: Reader) -> None:
    reader.presses("Model card")
    expect(reader.page.get_by_role("row", name="Harmless")).to_contain_text("99")
    reader.page.keyboard.press("Escape")


def test_a_refused_film_has_no_decision_about_a_group(reader: Reader) -> None:
    reader.opens(all_bright())
    expect(reader.finding("Abnormal")).to_contain_text("No decision")
