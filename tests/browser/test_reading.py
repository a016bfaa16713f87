"""Films come in, and answers or sentences come out."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from models.radiograph import read_radiograph
from service.app import VIEWER
from tests.browser.films import NORMAL, PNEUMONIA, bright_square, dark_noise, dicom
from tests.browser.reader import FAILED, READ, Reader

pytestmark = pytest.mark.browser


def test_a_picked_film_gets_a_bar_with_its_threshold_for_every_class(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.page.get_by_role("radio")).to_have_count(3)
    bar = reader.finding(PNEUMONIA).locator(".threshold-bar")
    whole, length = bar.bounding_box(), bar.locator(".length").bounding_box()
    tick = bar.locator(".tick").bounding_box()
    said = float(reader.finding(PNEUMONIA).locator(".probability").inner_text().split("\u202f")[0])
    assert whole is not None
    assert length is not None
    assert tick is not None
    assert length["width"] / whole["width"] == pytest.approx(said / 100, abs=0.01)
    assert (tick["x"] + 1 - whole["x"]) / whole["width"] == pytest.approx(0.1, abs=0.01)


def test_decisions_are_said_in_words(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.finding(PNEUMONIA)).to_contain_text("Called: at or above its threshold of 10")
    expect(reader.finding(NORMAL)).to_contain_text("Not called: below its threshold of 90")
    expect(reader.finding(NORMAL)).to_contain_text("most likely")


def test_a_film_that_leaves_the_model_unsure_gets_no_decision_in_words(
    reader_of: Callable[..., Reader],
) -> None:
    reader = reader_of(confidence_threshold=0.99)
    reader.opens(bright_square())
    expect(reader.finding(PNEUMONIA)).to_contain_text("No decision: no class reaches 99")
    expect(reader.page.locator("#summary")).to_have_text("No class is likely enough for a decision")


def test_the_page_says_what_film_and_model_the_answer_is_about(reader: Reader) -> None:
    reader.opens(bright_square())
    facts = reader.page.locator("#facts")
    expect(reader.page.locator("#film-detail")).to_have_text("480 \u00d7 320 \u00b7 PNG")
    expect(reader.page.locator("#map-detail")).to_have_text("tiny 1.2.3")
    for fact in ("480 \u00d7 320 pixels", "PNG", "tiny 1.2.3", "SHA-256", "limit of 8"):
        expect(facts).to_contain_text(fact)


def test_a_film_can_be_dropped(reader: Reader) -> None:
    reader.drops(bright_square(), "dropped.png")
    expect(reader.page.locator("#film-name")).to_have_text("dropped.png")
    expect(reader.page.locator("#drop-here")).to_be_hidden()


def test_a_dicom_film_is_shown_although_the_browser_cannot_decode_it(reader: Reader) -> None:
    film = dark_noise(320, 480)
    film[:160] += 165
    reader.opens(dicom(film), "film.dcm")
    expect(reader.page.locator("#facts")).to_contain_text("DICOM")
    seen = reader.sees("plain")
    rows, columns, _ = seen.shape
    assert seen[rows // 2 - 80, columns // 2].mean() > 190
    assert seen[rows // 2 + 80, columns // 2].mean() < 120


def test_the_samples_are_read_and_said_to_be_drawings(reader: Reader) -> None:
    for sample in ("Normal", "Opacity", "Effusion"):
        reader.presses(sample)
        name = reader.page.locator("#film-name")
        expect(name).to_have_text(f"{sample}: a drawing, not a patient")
        reader.page.wait_for_selector(READ)


def test_two_films_opened_before_the_page_is_ready_share_one_view(reader: Reader) -> None:
    held: list[Route] = []
    reader.page.route("**/v1/colour-map", lambda route: held.append(route))
    reader.picks(bright_square(), "first.png")
    reader.picks(bright_square(), "second.png")
    expect(reader.page.locator("#progress-words")).to_contain_text("1 s")
    [colour_map] = held
    colour_map.continue_()
    reader.page.wait_for_selector(READ)
    expect(reader.page.locator("#film-name")).to_have_text("second.png")
    reader.presses("Show it anyway")
    assert "Shown although below the decision threshold" in reader.explanation()


def test_a_colour_table_that_failed_is_asked_for_again(reader: Reader) -> None:
    reader.page.route("**/v1/colour-map", lambda route: route.fulfill(status=429, body="{}"))
    reader.picks(bright_square())
    reader.page.wait_for_selector(FAILED)
    reader.page.unroute("**/v1/colour-map")
    reader.presses("Try again")
    reader.page.wait_for_selector(READ)


def test_what_is_not_a_film_is_refused_in_a_sentence_with_a_way_out(reader: Reader) -> None:
    reader.picks(b"a letter", "letter.txt")
    reader.page.wait_for_selector(FAILED)
    alert = reader.page.get_by_role("alert")
    expect(alert).to_contain_text("Choose a PNG, JPEG, TIFF or DICOM file.")
    expect(reader.page.get_by_role("button", name="Try again")).to_be_hidden()
    reader.opens(bright_square())
    expect(alert).to_be_hidden()


def test_an_old_answer_never_stands_beside_a_new_problem(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.picks(b"a letter", "letter.txt")
    reader.page.wait_for_selector(FAILED)
    expect(reader.page.locator("#answer")).to_be_hidden()
    expect(reader.page.locator("#films")).to_be_hidden()


def test_a_film_that_failed_for_the_server_can_be_tried_again(reader: Reader) -> None:
    busy = '{"title": "The models are not loaded", "detail": "Ask again in a moment."}'
    refuse = {"status": 429, "body": busy, "content_type": "application/problem+json"}
    reader.page.route("**/v1/explain", lambda route: route.fulfill(**refuse))
    reader.picks(bright_square())
    reader.page.wait_for_selector(FAILED)
    expect(reader.page.get_by_role("alert")).to_contain_text("Ask again in a moment.")
    reader.page.unroute("**/v1/explain")
    reader.presses("Try again")
    reader.page.wait_for_selector(READ)


def test_waiting_is_said_and_can_be_cancelled(reader: Reader) -> None:
    held: list[Route] = []
    reader.page.route("**/v1/explain", lambda route: held.append(route))
    reader.picks(bright_square())
    expect(reader.page.locator("#progress-words")).to_contain_text("Reading the film\u2026 1")
    reader.presses("Cancel")
    expect(reader.page.locator("#progress")).to_be_hidden()
    expect(reader.page.get_by_text("Drop a chest film here")).to_be_visible()


def test_the_name_of_the_file_stays_in_the_page(reader: Reader) -> None:
    bodies: list[bytes] = []
    reader.page.on("request", lambda request: bodies.append(request.post_data_buffer or b""))
    reader.opens(bright_square(), "SURNAME.png")
    assert not any(b"SURNAME" in body for body in bodies)


def test_every_sample_that_the_page_offers_is_a_small_film_there() -> None:
    files = sorted((VIEWER / "samples").glob("*.png"))
    assert [file.stem for file in files] == ["drawn_effusion", "drawn_normal", "drawn_opacity"]
    assert {read_radiograph(file.read_bytes()).format for file in files} == {"png"}
    assert sum(file.stat().st_size for file in files) < 1_000_000
