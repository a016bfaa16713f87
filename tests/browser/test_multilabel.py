"""Tests of the page with a model whose findings do not exclude each other."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.films import EFFUSION, NORMAL, PNEUMONIA, all_bright, bright_square
from tests.browser.reader import Reader

pytestmark = pytest.mark.browser


@pytest.fixture
def findings_reader(reader_of: Callable[..., Reader]) -> Reader:
    """A person at the page of a multi-label model, with a film open that shows two findings."""
    reader = reader_of(task="multilabel")
    reader.opens(bright_square())
    return reader


def test_findings_are_said_not_to_exclude_each_other(findings_reader: Reader) -> None:
    hint = findings_reader.page.locator("#findings-hint")
    expect(hint).to_contain_text("findings do not exclude each other")
    expect(hint).to_contain_text("do not add up to 100")
    assert findings_reader.faults == []


def test_no_finding_is_called_most_likely(findings_reader: Reader) -> None:
    expect(findings_reader.page.locator("label.finding")).to_have_count(3)
    expect(findings_reader.page.locator(".tag")).to_have_count(0)


def test_each_finding_is_decided_for_itself(findings_reader: Reader) -> None:
    expect(findings_reader.finding(PNEUMONIA)).to_contain_text("Called: at or above")
    expect(findings_reader.finding(EFFUSION)).to_contain_text("Called: at or above")
    expect(findings_reader.finding(NORMAL)).to_contain_text("Not called: below")
    summary = findings_reader.page.locator("#summary")
    expect(summary).to_contain_text("Called: Pneumonia")
    expect(summary).to_contain_text("Effusion 50")


def test_the_page_begins_with_the_most_probable_finding_of_those_called(
    findings_reader: Reader,
) -> None:
    expect(findings_reader.page.get_by_role("radio", name=EFFUSION)).to_be_checked()
    findings_reader.chooses(PNEUMONIA)
    assert "Where the model sees" in findings_reader.explanation()
    assert np.ptp(findings_reader.sees("mapped"), axis=-1).max() > 40


def test_a_refused_film_begins_with_the_most_probable_finding(findings_reader: Reader) -> None:
    findings_reader.opens(all_bright())
    expect(findings_reader.page.get_by_role("radio", name=PNEUMONIA)).to_be_checked()
    expect(findings_reader.finding(PNEUMONIA)).to_contain_text("No decision")


def test_a_model_of_classes_still_names_the_most_likely(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.page.get_by_role("radio", name=NORMAL)).to_be_checked()
    expect(reader.page.locator("#findings-hint")).not_to_contain_text("add up")
