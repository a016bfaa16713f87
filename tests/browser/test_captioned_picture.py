"""Tests of the picture with its caption strip: `picture_export.js`."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.reader import Pixels, Reader
from tests.browser.snapshots import (
    LOOK,
    answer,
    kept,
    refused_answer,
    snapshot,
    undecided_answer,
)

pytestmark = pytest.mark.browser

CAUTION = (240, 201, 135)

CAPTION = """
async (snapshot) => {
  const { caption } = await import("/keeping/strings.js");
  const finding = snapshot.answer.findings.find((one) => one.class_name === snapshot.shown);
  const held = { ...snapshot, finding };
  return [caption.finding(held), caption.source(held), caption.map(held), caption.researchOnly];
}
"""


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


def picture(reader: Reader, **changes: Any) -> Pixels:
    """Return the picture of a snapshot, rows x columns x 3."""
    png = kept(reader.page, "captionedPicture", **changes)
    return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB"))


def caption(reader: Reader, **changes: Any) -> str:
    """Return what the strip says, but for the scale of colours."""
    return "\n".join(reader.page.evaluate(CAPTION, snapshot(**changes)))


def rows_of(pixels: Pixels, colour: tuple[int, int, int]) -> Any:
    """Return the rows that hold a colour."""
    return np.flatnonzero((pixels == colour).all(axis=2).any(axis=1))


@pytest.mark.parametrize("size", [(240, 180), (900, 600), (2600, 1300)])
def test_the_caption_stands_under_the_view_and_never_over_it(
    reader: Reader, size: tuple[int, int]
) -> None:
    pixels = picture(reader, mapped=size)
    view = np.full((size[1], size[0], 3), 128)
    top, left = size[1] // 10, 6 * size[0] // 10
    view[top : 4 * top, left : left + 3 * size[0] // 10] = 255
    assert pixels.shape[1] == size[0]
    assert pixels.shape[0] > size[1] + 60
    assert (pixels[: size[1]] == view).all()


@pytest.mark.parametrize("width", [240, 900, 2600])
def test_research_use_only_is_the_last_line_and_is_readable(reader: Reader, width: int) -> None:
    pixels = picture(reader, mapped=(width, 400))
    rows = rows_of(pixels, CAUTION)
    assert len(rows) >= max(7, width // 140)  # as high as a capital letter
    assert rows.max() > pixels.shape[0] - 2 * max(12, width // 70)


def test_a_narrow_caption_is_wrapped(reader: Reader) -> None:
    narrow, wide = (picture(reader, mapped=(width, 300)).shape[0] for width in (240, 800))
    assert narrow > wide + 3 * 12


def test_the_scale_shows_every_colour_of_the_map(reader: Reader) -> None:
    strip = picture(reader, mapped=(900, 600))[600:].astype(int)
    scale = strip[(strip[..., 1] == 0) & (strip[..., 0] + strip[..., 2] == 255)]
    assert scale[:, 0].min() < 20
    assert scale[:, 0].max() > 235


def test_without_a_map_there_is_no_scale(reader: Reader) -> None:
    strip = picture(reader, look=LOOK | {"mapShown": False})[600:]
    assert not (strip == (0, 0, 255)).all(axis=2).any()


def test_the_caption_says_what_one_sees(reader: Reader) -> None:
    said = caption(reader).replace("\u202f", " ")
    assert "Pneumonia 87 %: called, threshold 10 %" in said
    assert "tiny 1.2.3 · window centre 2048, width 4096" in said
    assert "opacity 50 %, drawn from 10 % of full colour, colours “inferno”" in said
    assert "Research use only. Not a medical device." in said


def test_the_caption_of_a_refused_film_says_that_there_is_no_decision(reader: Reader) -> None:
    said = caption(reader, answer=refused_answer())
    assert "no decision (unlike the films this model knows)" in said


def test_the_caption_of_an_undecided_film_says_whether_the_class_is_excluded(
    reader: Reader,
) -> None:
    said = caption(reader, answer=undecided_answer()).replace("\u202f", " ")
    assert "Pneumonia 87 %: not excluded, excluded below 31 %" in said


def test_the_film_is_named_only_if_the_reader_wants_it(reader: Reader) -> None:
    assert caption(reader, filmName="Zoë.dcm").replace(" · Zoë.dcm", "") == caption(reader)


def test_a_very_long_name_does_not_grow_the_strip_without_end(reader: Reader) -> None:
    named = picture(reader, filmName="x" * 5000)
    assert named.shape[0] <= picture(reader, answer=answer()).shape[0] + 4 * 20
