"""Tests of reading a film: answers, progress and problems."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from models.radiograph import read_radiograph
from service.app import VIEWER
from tests.browser.films import NORMAL, PNEUMONIA, bright_square, dark_noise, dicom
from tests.browser.reader import FAILED, READ, Reader
from tests.support.tiny_model import picture

pytestmark = pytest.mark.browser

RECORD_BODIES = """
() => {
  window.bodies = [];
  const { send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (body) {
    window.bodies.push(new Response(body).text());
    return send.call(this, body);
  };
}
"""
BROKEN = '{"title": "Internal server error", "detail": "The fault is the server\'s."}'


def test_a_picked_film_gets_a_bar_with_its_threshold_for_every_class(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.page.locator("#findings").get_by_role("radio")).to_have_count(3)
    bar = reader.finding(PNEUMONIA).locator(".threshold-bar")
    whole, length = bar.bounding_box(), bar.locator(".length").bounding_box()
    tick = bar.locator(".tick").bounding_box()
    said = float(reader.finding(PNEUMONIA).locator(".probability").inner_text().split("\u202f")[0])
    assert whole is not None
    assert length is not None
    assert tick is not None
    assert length["width"] / whole["width"] == pytest.approx(said / 100, abs=0.01)
    assert (tick["x"] + 1 - whole["x"]) / whole["width"] == pytest.approx(0.1, abs=0.01)


def test_the_page_says_what_was_decided_and_about_what_film_and_model(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.finding(PNEUMONIA)).to_contain_text("Not called: another class is more likely")
    expect(reader.finding(NORMAL)).to_contain_text("Called: the most likely class")
    expect(reader.page.locator("#findings-hint")).to_contain_text("Decided: Normal.")
    expect(reader.page.locator("#film-detail")).to_have_text("480 \u00d7 320 \u00b7 PNG")
    expect(reader.page.locator("#stage .caption")).to_have_text("tiny 1.2.3")
    for fact in ("480 \u00d7 320 pixels", "PNG", "tiny 1.2.3", "SHA-256", "limit of 8"):
        expect(reader.page.locator("#facts")).to_contain_text(fact)


def test_a_film_that_leaves_the_model_unsure_gets_no_decision_in_words(
    reader_of: Callable[..., Reader],
) -> None:
    reader = reader_of(confidence_threshold=0.99)
    reader.opens(bright_square())
    expect(reader.finding(PNEUMONIA)).to_contain_text("No decision: no class reaches 99")
    expect(reader.page.locator("#summary")).to_have_text("No class is likely enough for a decision")


def test_a_film_can_be_dropped(reader: Reader) -> None:
    reader.drops(bright_square(), "dropped.png")
    expect(reader.page.locator("#film-name")).to_have_text("dropped.png")
    expect(reader.page.locator("#drop-here")).to_be_hidden()


def test_a_dicom_film_is_shown_although_the_browser_cannot_decode_it(reader: Reader) -> None:
    film = dark_noise(320, 480)
    film[:160] += 165
    reader.opens(dicom(film), "film.dcm")
    reader.takes("Film and map")
    expect(reader.page.locator("#facts")).to_contain_text("DICOM")
    seen = reader.sees("plain")
    rows, columns, _ = seen.shape
    assert seen[rows // 2 - 80, columns // 2].mean() > 190
    assert seen[rows // 2 + 80, columns // 2].mean() < 120


def test_the_samples_are_read_and_say_what_they_are(reader: Reader) -> None:
    for sample in ("Normal", "Pneumonia", "COVID-19", "No chest"):
        with reader.waits():
            reader.page.locator("#samples button", has_text=sample).click()
        expect(reader.page.locator("#film-name")).to_have_text(f"Sample: {sample}")


def test_every_sample_has_its_source_beside_it_and_its_picture_is_there(reader: Reader) -> None:
    buttons = reader.page.locator("#samples button").all()
    for button, source in zip(buttons, ("NIH", "NIH", "CC BY 3.0", "MIT"), strict=True):
        expect(button.locator("small")).to_contain_text(source)
        width = "async (picture) => { await picture.decode(); return picture.naturalWidth; }"
        assert button.locator("img").evaluate(width) > 100


def test_of_two_films_opened_before_the_page_is_ready_the_last_is_shown(reader: Reader) -> None:
    held: list[Route] = []
    reader.page.route("**/v1/colour-maps", lambda route: held.append(route))
    reader.picks(bright_square(), "first.png")
    reader.picks(bright_square(), "second.png")
    expect(reader.page.locator("#progress-words")).to_contain_text("1 s")
    [colour_maps] = held
    colour_maps.continue_()
    reader.page.wait_for_selector(READ)
    expect(reader.page.locator("#film-name")).to_have_text("second.png")
    reader.presses("Show it anyway")
    assert "Shown although below the decision threshold" in reader.explanation()


@pytest.mark.parametrize("asked", ["v1/models", "v1/colour-maps", "v1/explain**", "v1/film"])
def test_what_failed_on_the_server_can_be_tried_again(reader: Reader, asked: str) -> None:
    reader.page.route(f"**/{asked}", lambda route: route.fulfill(status=500, body=BROKEN))
    reader.picks(bright_square())
    reader.page.wait_for_selector(FAILED)
    expect(reader.page.get_by_role("alert")).to_contain_text("The fault is the server's")
    reader.page.unroute(f"**/{asked}")
    with reader.waits():
        reader.page.locator("#retry").click()
    reader.faults.clear()  # Chromium reports each 500


def test_what_is_not_a_film_is_refused_in_a_sentence_with_a_way_out(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.picks(b"a letter", "letter.txt")
    reader.page.wait_for_selector(FAILED)
    alert = reader.page.get_by_role("alert")
    expect(alert).to_contain_text("Choose a PNG, JPEG, TIFF or DICOM file.")
    expect(alert.get_by_role("button")).to_have_count(0)
    expect(reader.page.locator("#answer, #stage, #toolbar, #status-line").first).to_be_hidden()
    reader.opens(bright_square())
    expect(alert).to_be_hidden()


def test_a_problem_names_its_request_for_whoever_runs_the_server(reader: Reader) -> None:
    with reader.page.expect_response("**/v1/explain**") as answer:
        reader.picks(b"a letter", "letter.txt")
    reader.page.wait_for_selector(FAILED)
    request_id = answer.value.headers["x-request-id"]
    expect(reader.page.get_by_role("alert")).to_contain_text(f"quote the request: {request_id}")


def test_an_old_answer_never_stands_beside_a_film_that_is_waited_for(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.page.route("**/v1/film", lambda route: None)
    reader.picks(bright_square(), "second.png")
    expect(reader.page.locator("#progress")).to_be_visible()
    for part in ("#answer", "#stage", "#toolbar", "#status-line"):
        expect(reader.page.locator(part)).to_be_hidden()


def test_waiting_is_said_and_can_be_cancelled(reader: Reader) -> None:
    reader.page.route("**/v1/explain**", lambda route: None)
    reader.picks(bright_square())
    expect(reader.page.locator("#progress-words")).to_contain_text("Reading the film\u2026 1")
    reader.presses("Cancel")
    expect(reader.page.locator("#progress")).to_be_hidden()
    expect(reader.page.get_by_text("Drop chest films here")).to_be_visible()


def test_how_much_of_a_large_film_was_sent_is_said(reader: Reader) -> None:
    network = reader.page.context.new_cdp_session(reader.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 500_000}
    network.send("Network.emulateNetworkConditions", slow)
    reader.picks(picture(dark_noise(1500, 1500)))
    expect(reader.page.locator("#progress-words")).to_have_text(
        re.compile(r"Sending the film\u2026 [1-9]\d?\u202f%")
    )
    assert 0 < reader.page.locator("#progress-bar").evaluate("(bar) => bar.value") < 1
    reader.presses("Cancel")


@pytest.mark.parametrize("way", ["desk", "list"])
def test_a_connection_that_is_lost_is_said_and_the_film_read_once_it_is_back(
    reader: Reader, way: str
) -> None:
    reader.opens(bright_square())
    reader.page.context.set_offline(True)
    reader.picks(bright_square(), "second.png")
    reader.page.wait_for_selector(FAILED)
    expect(reader.page.get_by_role("alert")).to_contain_text("The server does not answer")
    expect(reader.page.locator("#work-list")).to_contain_text("Reading is paused.")
    reader.page.context.set_offline(False)
    with reader.waits():
        reader.presses("Try again" if way == "desk" else "Go on")
    expect(reader.page.locator("#film-name")).to_have_text("second.png")
    reader.faults.clear()  # Chromium reports each request that failed


def test_a_card_that_does_not_come_is_said_in_a_sentence(reader: Reader) -> None:
    reader.page.route("**/v1/models/tiny", lambda route: route.fulfill(status=404, body=BROKEN))
    reader.opens(bright_square())
    reader.presses("Model card")
    expect(reader.page.locator("#notice")).to_contain_text("The fault is the server's")


def test_the_name_of_the_file_stays_in_the_page(reader: Reader) -> None:
    reader.page.evaluate(RECORD_BODIES)
    reader.opens(bright_square(), "SURNAME.png")
    reader.page.wait_for_load_state("networkidle")
    bodies = reader.page.evaluate("Promise.all(window.bodies)")
    assert len(bodies) == 3  # for the answer, the pixels, the thumbnail
    assert all('filename="film"' in body for body in bodies)
    assert "SURNAME" not in " ".join([*bodies, *reader.requests, reader.page.url])


def test_every_sample_that_the_page_offers_is_a_small_film_there() -> None:
    files = sorted(file for file in (VIEWER / "samples").glob("*.*") if file.suffix != ".md")
    formats = {file.name: read_radiograph(file.read_bytes()).format for file in files}
    assert formats == {
        **{"ankle.png": "png", "covid19.jpg": "jpeg"},
        **{"normal.jpg": "jpeg", "pneumonia.dcm": "dicom"},
    }
    assert max(file.stat().st_size for file in files) <= 120_000
    credits = (VIEWER / "samples/CREDITS.md").read_text()
    assert all(f"`{file.name}`" in credits for file in files)
