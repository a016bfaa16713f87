"""Tests of the report that the page writes: `pdf.js`, `report.js`, `report_table.js`."""

import io
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PageObject, PdfReader

from tests.browser.reader import Reader
from tests.browser.snapshots import (
    LOOK,
    answer,
    described,
    kept,
    refused_answer,
    undecided_answer,
)

pytestmark = pytest.mark.browser

FOOTER = 56
"""Points under which only the footer stands."""

WINDOWS_1252 = "aZ09()\\ %\u00e4\u00df\u00a7\u20ac\u2013\u00d7\u2026\u201c\u2019\u0152\u017e"

ONE_LINE = """
async (text) => {
  const { PdfPage } = await import("/keeping/pdf.js");
  const page = new PdfPage();
  page.text(text, 10, 20, { size: 10 });
  const facts = { title: text, creator: "t", language: "en-GB", date: new Date(0) };
  const blob = page.blob(facts);
  return Array.from(new Uint8Array(await blob.arrayBuffer()));
}
"""


TEXT = re.compile(r"BT /F(\d) (\S+) Tf .* 1 0 0 1 (\S+) (\S+) Tm \((.*)\) Tj ET")
WIDTHS = r"""
async (lines) => {
  const { textWidth } = await import("/keeping/helvetica.js");
  return lines.map(([bold, size, , , text]) => {
    const plain = text.replace(/\\\d{3}/g, "M").replace(/\\(.)/g, "$1");
    return textWidth(plain, { size, bold: bold === "1" });
  });
}
"""


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


def pdf(reader: Reader, **changes: Any) -> PdfReader:
    """Return the report of a snapshot; any fault of the file is an error."""
    return PdfReader(io.BytesIO(kept(reader.page, "report", **changes)), strict=True)


def words(reader: Reader, **changes: Any) -> str:
    """Return the text of the report, its lines and hard spaces as spaces."""
    return " ".join(pdf(reader, **changes).pages[0].extract_text().split())


def lines(reader: Reader, page: PageObject) -> list[tuple[float, float, float]]:
    """Return each line of text as (left, right, baseline), in points from the lower left corner."""
    content = page.get_contents()
    assert content is not None
    found = TEXT.findall(content.get_data().decode())
    widths = reader.page.evaluate(WIDTHS, [list(one) for one in found])
    starts = [(float(x), float(y)) for _, _, x, y, _ in found]
    return [(x, x + width, y) for (x, y), width in zip(starts, widths, strict=True)]


def test_a_report_is_one_page_of_a4_that_says_what_and_when_it_is(reader: Reader) -> None:
    report = pdf(reader)
    assert [round(float(side)) for side in report.pages[0].mediabox[2:]] == [595, 842]
    assert report.metadata is not None
    assert report.metadata.title == "Chest X-ray explainer: report"
    assert report.metadata.creation_date_raw == "D:20261128224000Z"
    assert report.trailer["/Root"]["/Lang"] == "en-GB"


def test_every_object_lies_where_the_file_says(reader: Reader) -> None:
    file = kept(reader.page, "report")
    start = int(file.rsplit(b"startxref\n", 1)[1].split()[0])
    assert file[start:].startswith(b"xref\n")
    places = re.findall(rb"(\d{10}) 00000 n \n", file[start:])
    assert len(places) >= 10
    for number, place in enumerate(places, 1):
        assert file[int(place) :].startswith(b"%d 0 obj\n" % number)


def test_a_report_says_what_the_model_says_and_what_that_is_worth(reader: Reader) -> None:
    said = words(reader)
    assert "Research use only. Not a medical device." in said
    assert "Pneumonia 87 % 10 % Called 100 % / 100 % 0.951 (0.925\u20130.972)" in said
    assert "Normal 9 % 90 % Not called" in said
    assert "4.2 (limit 8): like the training films" in said
    assert "tests" in said.partition("What the model is for")[2]
    assert "• knows nothing" in said


def test_a_report_says_how_new_the_acquisition_is_where_that_is_known(reader: Reader) -> None:
    assert "Novelty" not in words(reader)
    novel = {"novelty": 3.1, "novelty_threshold": 2.4, "refusals": ["novelty"]}
    said = words(reader, answer=answer(in_distribution=False, **novel))
    assert "Acquired in a way that training never saw: no decision" in said
    assert "3.1 (limit 2.4): acquired unlike the training films" in said
    assert "4.2 (limit 8): like the training films" in said


def test_a_report_names_the_film_and_the_model_file(reader: Reader) -> None:
    said = words(reader).replace(" ", "")
    assert "600\u00d7800\u00b7DICOM" in said
    assert "0a" * 32 in said
    assert "centre2048,width4096" in said


def test_a_report_says_the_map_in_words(reader: Reader) -> None:
    said = words(reader)
    assert "upper right of the film, 88 % from its left and 25 % from its top" in said
    assert "reaches 75 % of full colour" in said
    assert "0 1.2 or more" in said
    assert "opacity 50 %, drawn from 10 % of full colour" in said


def test_a_signed_map_has_a_scale_from_against_to_for(reader: Reader) -> None:
    assert "-1.2 or less 0 1.2 or more" in words(reader, look=LOOK | {"signed": True})


def test_a_report_of_a_refused_film_says_so_before_all_else(reader: Reader) -> None:
    said = words(reader, answer=refused_answer(), look=LOOK | {"mapShown": False})
    assert said.index("Unlike the films this model knows") < said.index("The film:")
    assert "Called" not in said.replace("Not called", "")
    assert "withheld" in said


def test_a_report_of_an_undecided_film_names_the_classes_that_are_left(reader: Reader) -> None:
    said = words(reader, answer=undecided_answer())
    assert said.index("Undecided: Normal or Pneumonia") < said.index("The film:")
    assert "None of these classes can be excluded." in said
    assert "Pneumonia 87 % 31 % Not excluded \u2013 0.951" in said
    assert "Effusion 9 % 31 % Excluded" in said
    assert "A film is decided when one class is left." in said
    assert "threshold" not in said


def test_a_refused_films_probabilities_are_greyed(reader: Reader) -> None:
    def colours_of(text: str, **changes: Any) -> set[str]:
        content = pdf(reader, **changes).pages[0].get_contents()
        assert content is not None
        lines = content.get_data().decode().splitlines()
        return {line.split("Tf ")[1].split(" rg")[0] for line in lines if f"({text}" in line}

    assert colours_of("No decision", answer=refused_answer()) == {"0.427 0.463 0.498"}
    assert colours_of("Not called") == {"0.082 0.098 0.118"}


def test_a_report_without_a_card_says_that_it_is_missing(reader: Reader) -> None:
    said = words(reader, card=None)
    assert "card was not read" in said
    assert "Pneumonia 87 % 10 % Called \u2013 \u2013" in said


def test_a_report_names_the_file_only_if_it_is_asked_to(reader: Reader) -> None:
    assert "File" not in words(reader).replace("File SHA-256", "")
    assert "File Müller, Zoë.dcm" in words(reader, filmName="Müller, Zoë.dcm")


def test_a_reports_pictures_keep_their_aspect(reader: Reader) -> None:
    page = pdf(reader, plain=(400, 800), mapped=(2600, 1300)).pages[0]
    film, view, _scale = page.images
    assert film.image is not None
    assert view.image is not None
    assert (film.image.size, view.image.size) == ((400, 800), (1040, 520))
    seen = np.asarray(film.image.convert("L")).astype(int)
    assert seen[160, 300] > 250  # the white square
    assert abs(seen[600, 100] - 128) < 3


def test_a_picture_is_drawn_as_wide_as_it_is_high(reader: Reader) -> None:
    content = pdf(reader, plain=(400, 800), mapped=(2600, 1300)).pages[0].get_contents()
    assert content is not None
    drawn = [line.split() for line in content.get_data().decode().splitlines() if " cm /P" in line]
    assert [float(one[1]) / float(one[4]) for one in drawn[:2]] == pytest.approx([0.5, 2], rel=1e-2)


def test_whatever_the_snapshot_holds_nothing_runs_into_the_footer_or_off_the_page(
    reader: Reader,
) -> None:
    names = tuple(f"finding_{at}_{'very_' * 60}long" for at in range(60))
    crowded = answer(names, in_distribution=False, refusals=["distance"])
    card = described(intended_use="Much. " * 400, limits=("Few. " * 400, "w" * 900))
    changes = {"answer": crowded, "shown": names[9], "card": card, "filmName": "x" * 500}
    report = pdf(reader, **changes)
    placed = lines(reader, report.pages[0])
    assert len(report.pages) == 1
    assert len(placed) > 150
    assert sum(baseline < FOOTER for _, _, baseline in placed) == 2
    assert min(baseline for _, _, baseline in placed) > 20
    assert min(left for left, _, _ in placed) > 40
    assert max(right for _, right, _ in placed) < 556


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from(WINDOWS_1252), min_size=1).map(str.strip))
def test_any_text_of_windows_1252_is_read_back_as_it_was(reader: Reader, text: str) -> None:
    report = PdfReader(io.BytesIO(bytes(reader.page.evaluate(ONE_LINE, f"<{text}>"))), strict=True)
    assert report.pages[0].extract_text().strip() == f"<{text}>"
    assert report.metadata is not None
    assert report.metadata.title == f"<{text}>"


@pytest.mark.parametrize(
    ("text", "written"),
    [("17\u202f%", "17\u00a0%"), ("\u22120.5 \u2265 x", "-0.5 >= x"), ("日本 🫁", "?? ?")],
)
def test_what_the_fonts_lack_is_replaced(reader: Reader, text: str, written: str) -> None:
    report = PdfReader(io.BytesIO(bytes(reader.page.evaluate(ONE_LINE, text))), strict=True)
    expected = written.replace("\u00a0", " ")
    assert report.pages[0].extract_text().replace("\u00a0", " ") == expected
