"""Tests of the ensemble in the page: chosen like a model, without a map, beside its networks."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from service.app import create_app
from service.settings import Settings
from tests.browser.axe import violations
from tests.browser.films import EFFUSION, NORMAL, all_bright, bright_square
from tests.browser.reader import Reader, reading
from tests.support.running_server import serving
from tests.support.tiny_ensemble import NAMES, write_ensemble

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address_of_ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ensemble")
    write_ensemble(folder)
    with serving(create_app(Settings(models=folder, own_models=False))) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def chooser(browser: Browser, address_of_ensemble: str) -> Iterator[Reader]:
    """A person at the page who has chosen the ensemble for a film."""
    with reading(browser, address_of_ensemble) as chooser:
        chooser.opens(bright_square())
        chooser.page.get_by_role("radio", name="ensemble").check()
        expect(chooser.page.locator("#members")).to_be_visible()
        yield chooser
        assert chooser.faults == []


def test_it_is_chosen_like_a_model_and_answers_as_the_server_does(chooser: Reader) -> None:
    file = {"name": "film", "mimeType": "image/png", "buffer": bright_square()}
    url = f"{chooser.address}/v1/predict?model=ensemble"
    answer = json.loads(chooser.page.request.post(url, multipart={"file": file}).body())
    for name, said in zip((NORMAL, "Pneumonia", EFFUSION), answer["findings"], strict=True):
        per_cent = f"{round(100 * said['probability'])}\u202f%"
        expect(chooser.finding(name).first).to_contain_text(per_cent)
    assert answer["is_decided"]
    expect(chooser.page.locator("#findings-hint")).to_contain_text("Decided: Normal.")
    expect(chooser.finding(EFFUSION)).to_contain_text("Excluded: below its limit of 30")
    expect(chooser.finding("Abnormal")).to_be_visible()
    expect(chooser.page.locator("#facts")).to_contain_text("ensemble 3.0.0")
    assert violations(chooser.page) == []


def test_where_its_map_would_be_it_says_that_it_has_none(chooser: Reader) -> None:
    assert "No map of its own" in chooser.explanation()
    assert np.ptp(chooser.sees("mapped"), axis=-1).max() == 0
    expect(chooser.page.locator("#map-controls")).to_be_hidden()
    chooser.takes("Compare models")
    chooser.chooses("Pneumonia")
    for name in NAMES:
        assert np.ptp(chooser.sees(name), axis=-1).max() > 40
    assert np.ptp(chooser.sees("ensemble"), axis=-1).max() == 0
    expect(chooser.page.locator("figure[data-panel=ensemble]")).to_contain_text("no map shown")


def test_it_says_how_the_networks_agree(chooser: Reader) -> None:
    members = chooser.page.locator("#members")
    expect(members).to_contain_text("2 of 2 networks find “Normal” most likely")
    expect(members.locator("tbody th")).to_have_text(list(NAMES))
    expect(chooser.page.locator("#agreement tbody th")).to_have_text(["one and other"])
    chooser.chooses(EFFUSION)
    expect(members.locator("thead th")).to_have_text(["Network", "Effusion", "Its answer"])
    chooser.page.get_by_role("radio", name="one", exact=True).check()
    expect(members).to_be_hidden()
    expect(chooser.page.locator("#agreement")).to_be_hidden()
    expect(chooser.page.locator("#map-controls")).to_be_visible()


def test_networks_that_find_another_class_do_not_count_as_agreeing(chooser: Reader) -> None:
    said = chooser.page.evaluate("""async () => {
        const { members } = await import("/answer/strings.js");
        const finds = (name) => ({ most_probable_class: name });
        return members.agreeing(finds("normal"), [finds("normal"), finds("pneumonia")]);
    }""")
    assert said.startswith("1 of 2 networks find “Normal” most likely")


def test_a_film_that_it_refuses_is_said_to_be_so_and_it_reads_the_next_film_too(
    chooser: Reader,
) -> None:
    chooser.opens(all_bright())
    assert "no decision, no map" in chooser.explanation()
    unlike = "Unlike the films this model knows"
    expect(chooser.page.locator(".work-list .current .words")).to_have_text(unlike)
    expect(chooser.page.locator("#members tbody tr").first).to_contain_text(unlike)
    chooser.opens(bright_square(400, 400))
    expect(chooser.page.get_by_role("radio", name="ensemble")).to_be_checked()
    asked = [url for url in chooser.requests if "explain" in url]
    assert asked[-1].endswith("explain?model=all")


def test_its_card_says_its_networks_and_how_it_decides(chooser: Reader) -> None:
    chooser.presses("Model card")
    card = chooser.page.get_by_role("dialog")
    expect(card).to_contain_text("Model card: ensemble 3.0.0")
    expect(card).to_contain_text("other 1.2.3")
    expect(card).to_contain_text("Logits are divided by 0.500")
    expect(card.get_by_role("row", name="Effusion 30\u202f%")).to_be_visible()


def test_its_answer_and_its_report_can_be_kept(chooser: Reader) -> None:
    with chooser.page.expect_download() as kept:
        chooser.presses("Save answer (JSON)")
    answer = json.loads(Path(kept.value.path()).read_text())
    assert [one["model"]["name"] for one in answer["models"]] == list(NAMES)
    assert answer["ensemble"]["model"]["name"] == "ensemble"
    with chooser.page.expect_download() as kept:
        chooser.presses("Save report (PDF)")
    assert kept.value.suggested_filename.endswith(".pdf")
