"""Tests of docs/viewer.md: pictures that can be made again, and the page's keys and link."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, expect

from docs.scripts.make_screenshots import DESK, PICTURES, opens, shows_map, small
from service.app import create_app
from service.settings import Settings
from tests.browser.films import EFFUSION, NORMAL, PNEUMONIA, bright_square
from tests.browser.reader import Reader
from tests.support.running_server import serving
from tests.support.tiny_model import picture, write_model
from xai.heatmap import colours

pytestmark = pytest.mark.browser

GUIDE = (Path(__file__).parents[2] / "docs" / "viewer.md").read_text()
FILM = FilePayload(name="film.png", mimeType="image/png", buffer=bright_square())

SEEN = {
    "desk": "#pointer-words:not(:empty)",
    "work_list": "#work-list li[data-state=done] ~ li[data-state=refused]",
    "beside": "figure[data-panel=plain] + figure[data-panel=mapped]",
    "signed": "#map-controls",
    "refused": "#explanation[data-status=out_of_distribution] ~ #explanation-button",
    "compare": "#agreement td",
    "mask": "#occlusion td",
    "kept": "figure[data-panel=plain]",
    "light": ":root[data-theme=light]",
    "tablet": "figure[data-panel=mapped]",
}
"""What is on the page when its picture is taken."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server with two tiny models listens that refuse every film."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("tiny", "tiny_too"):
        write_model(folder, name=name, distance_threshold=0.01)
    settings = Settings(models=folder, own_models=False, default_model="tiny")
    with serving(create_app(settings)) as client:
        yield str(client.base_url).rstrip("/")


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_can_be_made_again(reader: Reader, name: str) -> None:
    png = PICTURES[name](reader.page, FILM)
    expect(reader.page.locator(SEEN[name]).first).to_be_visible()
    width, _ = Image.open(io.BytesIO(png)).size
    assert width == (reader.sees().shape[1] * 2 if name == "kept" else DESK["width"])


@pytest.mark.parametrize(("limit", "class_name"), [(0.01, PNEUMONIA), (100.0, NORMAL)])
def test_a_picture_shows_the_map_that_the_page_holds_back(
    reader_of: Callable[..., Reader], limit: float, class_name: str
) -> None:
    reader = reader_of(distance_threshold=limit)
    opens(reader.page, FILM)
    reader.chooses(class_name)
    shows_map(reader.page)
    colour = reader.sees().max(axis=-1).astype(int) - reader.sees().min(axis=-1)
    assert colour.max() > 20


def test_a_picture_does_without_the_map_of_a_class_that_has_none(reader: Reader) -> None:
    opens(reader.page, FILM)
    reader.chooses(EFFUSION)
    shows_map(reader.page)
    assert "No position argues for this class" in reader.explanation()


def test_a_file_that_is_no_film_gets_no_picture(reader: Reader) -> None:
    notes = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"notes")
    with pytest.raises(ValueError, match="film must be readable: Not an image"):
        opens(reader.page, notes)


def test_few_colours_change_none_so_that_it_is_seen() -> None:
    scale = colours(np.linspace(0, 1, 256, dtype=np.float32))
    film = (
        np.random.default_rng(0).integers(0, 256, (400, 256, 1), dtype=np.uint8).repeat(3, axis=2)
    )
    before = np.concatenate([scale[None], film])
    after = np.asarray(Image.open(io.BytesIO(small(picture(before)))).convert("RGB"))
    assert np.abs(after.astype(int) - before).max() < 16


def test_the_keys_are_those_of_the_page(reader: Reader) -> None:
    keys = reader.page.evaluate(
        "async () => Object.entries((await import('/page/strings.js')).shortcuts.keys)"
    )
    rows = re.findall(r"^\| (<kbd>.*</kbd>) \| (.*) \|$", GUIDE, re.MULTILINE)
    told = [[" ".join(re.findall("<kbd>(.*?)</kbd>", names)), words] for names, words in rows]
    assert told == keys


def test_the_link_in_the_guide_is_followed_to_what_it_says(reader: Reader) -> None:
    (link,) = re.findall(r"http://127\.0\.0\.1:8000/(#\S+)", GUIDE)
    state = reader.page.evaluate(
        "async (hash) => (await import('/page/permalink.js')).stateFromHash(hash)", link
    )
    assert state == {"className": "pneumonia", "mode": "beside", "signed": True, "outline": 0.3}
