"""Tests of several models on one film: side by side, one after another, and with one failing."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from tests.browser.axe import violations
from tests.browser.films import EFFUSION, NORMAL, bright_square
from tests.browser.reader import Pixels, Reader

pytestmark = pytest.mark.browser

NAMES = ("alpha", "beta", "gamma")
FAILED = "Failed to load resource: the server responded with a status of 5"


def compares(reader: Reader, film: bytes = bright_square()) -> None:
    """Open a film, set the models side by side, and wait until all have answered."""
    reader.opens(film)
    reader.takes("Compare models")
    for name in NAMES:
        expect(panel(reader, name)).to_contain_text("%")


def panel(reader: Reader, name: str) -> Any:
    """Return what stands over a model's film."""
    return reader.page.locator(f"figure[data-panel='{name}'] figcaption")


def questions(reader: Reader) -> list[str]:
    """Return what was asked about films' findings."""
    asked = [url.rpartition("/v1/")[2] for url in reader.requests]
    return [one for one in asked if one.startswith(("explain", "predict"))]


def films(reader: Reader) -> list[Pixels]:
    """Return the three panels."""
    return [reader.sees(name) for name in NAMES]


def difference(one: Pixels, other: Pixels) -> float:
    """Return by how much two panels differ in the mean; one may be a pixel wider."""
    small = [np.asarray(Image.fromarray(each).resize((90, 220)), float) for each in (one, other)]
    return float(abs(small[0] - small[1]).mean())


def answers(reader: Reader) -> dict[str, Any]:
    """Return the server's own comparison."""
    file = {"name": "film", "mimeType": "image/png", "buffer": bright_square()}
    url = f"{reader.address}/v1/explain?model=all"
    return json.loads(reader.page.request.post(url, multipart={"file": file}).body())


def fails(reader: Reader, model: str, status: int = 500) -> None:
    """Let the server fail for a model, and for all of them together."""
    problem = {"title": "Unsound model", "detail": "It fails its checks.", "status": status}

    def answer(route: Route) -> None:
        if route.request.url.endswith((f"model={model}", "model=all")):
            route.fulfill(status=status, json=problem)
        else:
            route.continue_()

    reader.page.route("**/v1/explain*", answer)


def test_each_panel_says_its_model_probability_and_state(comparer: Reader) -> None:
    compares(comparer)
    comparer.chooses("Pneumonia")
    states = ("not called", "not called", "unlike known films")
    for answer, state in zip(answers(comparer)["models"], states, strict=True):
        name, version = answer["model"]["name"], answer["model"]["version"]
        per_cent = round(100 * answer["findings"][1]["probability"])
        expect(panel(comparer, name)).to_contain_text(f"{name} {version}")
        expect(panel(comparer, name)).to_contain_text(f"Pneumonia {per_cent}\u202f% · {state}")
    comparer.chooses(NORMAL)
    expect(panel(comparer, "alpha")).to_contain_text("% · called · no map shown")
    comparer.chooses(EFFUSION)
    expect(panel(comparer, "beta")).to_contain_text("does not know “Effusion”")
    assert violations(comparer.page) == []


def test_the_panels_share_view_and_window(comparer: Reader) -> None:
    compares(comparer)
    comparer.page.keyboard.press("Space")
    before = films(comparer)
    comparer.canvas("beta").hover(position={"x": 60, "y": 90})
    comparer.page.mouse.wheel(0, -600)
    zoomed = films(comparer)
    comparer.page.get_by_label("Width").fill("90")
    comparer.page.keyboard.press("Enter")
    windowed = films(comparer)
    for seen in (before, zoomed, windowed):
        assert difference(seen[0], seen[1]) < 1.5
        assert difference(seen[0], seen[2]) < 1.5
    assert difference(before[0], zoomed[0]) > 10
    assert difference(zoomed[0], windowed[0]) > 10


def test_the_film_stays_under_the_pointer_in_whichever_panel_it_is_zoomed(comparer: Reader) -> None:
    compares(comparer)
    comparer.canvas("gamma").hover(position={"x": 80, "y": 110})
    before = comparer.page.locator("#pointer-words").inner_text()
    comparer.page.mouse.wheel(0, -900)
    comparer.canvas("alpha").hover(position={"x": 80, "y": 110})
    expect(comparer.page.locator("#pointer-words")).to_have_text(before)


def test_the_maps_differ_where_the_models_do(comparer: Reader) -> None:
    compares(comparer)
    comparer.chooses("Pneumonia")
    alpha, beta, gamma = (float((np.ptp(seen, axis=2) > 50).mean()) for seen in films(comparer))
    assert gamma == 0  # refused: the film stays grey
    assert alpha > 2 * beta > 0  # who sees the film's middle alone


def test_the_agreement_is_the_servers(comparer: Reader) -> None:
    compares(comparer)
    comparer.chooses(NORMAL)
    rows = comparer.page.locator("#agreement tbody tr")
    pairs = [one for one in answers(comparer)["agreement"] if one["class_name"] == "normal"]
    assert len(pairs) == 3
    assert abs(pairs[0]["rank_correlation"]) < 0.99
    for row, pair in zip(rows.all(), pairs, strict=True):
        expect(row.locator("th")).to_have_text(" and ".join(pair["models"]))
        known = pair["rank_correlation"] is not None
        correlation = f"{pair['rank_correlation']:.2f}" if known else "none"
        overlap = f"{round(100 * pair['top_tenth_overlap'])}\u202f%" if known else "none"
        expect(row.locator("td")).to_have_text([correlation, overlap])
    comparer.takes("One film")
    expect(comparer.page.locator("#agreement")).to_be_hidden()


def test_once_all_were_read_another_model_is_shown_without_asking(comparer: Reader) -> None:
    compares(comparer)
    asked = questions(comparer)
    comparer.takes("One film")
    for name, third in (("beta", "Mass"), ("gamma", EFFUSION), ("alpha", EFFUSION)):
        comparer.page.get_by_role("radio", name=name).check()
        expect(comparer.finding(third)).to_be_visible()
        expect(comparer.page.locator("figure .caption")).to_contain_text(name)
    assert questions(comparer) == asked


@pytest.mark.parametrize("status", [500, 503])
def test_a_model_that_fails_leaves_the_others(comparer: Reader, status: int) -> None:
    fails(comparer, "beta", status)
    comparer.opens(bright_square())
    comparer.takes("Compare models")
    expect(panel(comparer, "gamma")).to_contain_text("unlike known films")
    expect(panel(comparer, "beta")).to_contain_text("gave no answer")
    notice = comparer.page.locator("#notice")
    expect(notice).to_have_text("beta gave no answer. Unsound model. It fails its checks.")
    expect(comparer.page.get_by_role("radio", name="beta failed")).to_be_visible()
    comparer.page.unroute("**/v1/explain*")
    comparer.page.get_by_role("radio", name="beta").check()
    expect(notice).to_be_hidden()
    expect(panel(comparer, "beta")).to_contain_text("%")
    assert all(fault.startswith(FAILED) for fault in comparer.faults)
    comparer.faults.clear()


def test_a_chosen_model_that_fails_leaves_the_one_in_view(comparer: Reader) -> None:
    fails(comparer, "gamma")
    comparer.opens(bright_square())
    comparer.page.get_by_role("radio", name="gamma").click()
    expect(comparer.page.locator("#notice")).to_contain_text("gamma gave no answer.")
    expect(comparer.page.get_by_role("radio", name="alpha")).to_be_checked()
    expect(comparer.finding(EFFUSION)).to_be_visible()
    comparer.opens(bright_square(400, 400))
    expect(comparer.page.locator("#notice")).to_be_hidden()
    comparer.faults.clear()


def test_other_models_are_asked_only_about_a_film_that_is_looked_at(comparer: Reader) -> None:
    comparer.page.clock.install(time=0)
    comparer.page.clock.pause_at(1)
    comparer.opens(bright_square(), "passed by")
    comparer.page.clock.run_for(600)
    comparer.opens(bright_square(400, 400), "looked at")
    comparer.page.clock.run_for(600)
    assert questions(comparer) == ["explain?model=alpha"] * 2
    with comparer.page.expect_response("**/v1/explain?model=all"):
        comparer.page.clock.run_for(200)
    assert len(questions(comparer)) == 3


def test_what_is_asked_about_a_film_is_given_up_when_another_is_opened(comparer: Reader) -> None:
    held: list[Route] = []
    comparer.page.route("**/v1/explain?model=all", lambda route: held.append(route))
    comparer.opens(bright_square())
    comparer.takes("Compare models")
    expect(panel(comparer, "beta")).to_contain_text("reading…")
    with comparer.page.expect_event("requestfailed") as given_up:
        comparer.picks(bright_square(400, 400))
    assert given_up.value.url.endswith("model=all")
    assert given_up.value.failure == "net::ERR_ABORTED"
    expect(comparer.page.locator("#notice")).to_be_hidden()


def test_the_model_that_was_chosen_reads_the_next_film_too(comparer: Reader) -> None:
    films = {f"{rows}.png": bright_square(rows, 400) for rows in (300, 400)}
    with comparer.waits():
        comparer.picks_all(films)
    expect(comparer.page.locator(".work-list [data-state=done]")).to_have_count(2)
    comparer.page.get_by_role("radio", name="beta").check()
    expect(comparer.finding("Mass")).to_be_visible()
    with comparer.waits():
        comparer.page.keyboard.press("j")
    expect(comparer.finding("Mass")).to_be_visible()
    expect(comparer.page.locator("#film-name")).to_have_text("400.png")


def test_maps_asked_for_in_spite_of_a_refusal_come_for_every_model(comparer: Reader) -> None:
    compares(comparer)
    comparer.page.get_by_role("radio", name="gamma").check()
    comparer.chooses("Pneumonia")
    comparer.presses("Ask for the maps anyway")
    expect(comparer.page.locator("#explanation")).to_contain_text("unlike those the model knows")
    for name in NAMES:
        expect(panel(comparer, name)).to_contain_text("%")
        assert np.ptp(comparer.sees(name), axis=2).max() > 50


def test_a_refused_request_for_maps_leaves_the_answer(comparer: Reader) -> None:
    comparer.opens(bright_square())
    comparer.page.get_by_role("radio", name="gamma").check()
    comparer.page.route("**/v1/explain*force*", lambda route: route.fulfill(status=500, json={}))
    comparer.presses("Ask for the maps anyway")
    expect(comparer.page.locator("#notice")).to_be_visible()
    comparer.chooses(NORMAL)
    expect(comparer.page.locator("#explanation")).to_contain_text("no decision")
    comparer.faults.clear()


def test_the_card_the_thresholds_meaning_and_the_distance_are_those_of_the_model_in_view(
    comparer: Reader,
) -> None:
    comparer.opens(bright_square())
    comparer.page.get_by_role("radio", name="beta").check()
    expect(comparer.finding("Mass")).to_be_visible()
    expect(comparer.page.locator(".meaning:visible")).to_contain_text("finds 100")
    facts = comparer.page.locator("#facts")
    expect(facts).to_contain_text("limit of 8, ")
    expect(facts.get_by_role("img")).to_be_visible()
    comparer.presses("Model card")
    dialog = comparer.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Model card: beta 2.0.0")
    expect(dialog).to_contain_text("knows nothing")
    comparer.page.keyboard.press("Escape")
    expect(comparer.page.get_by_role("button", name="Model card")).to_be_focused()
