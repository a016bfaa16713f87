"""docs/viewer.md: its links lead somewhere, and its pictures can be made again by the script."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from docs.scripts.make_screenshots import FOLDER, PICTURES, SAMPLES, main
from service.app import create_app
from service.settings import Settings

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "viewer.md"
TEXT = GUIDE.read_text()
LINKS = re.findall(r"\]\((?!http)([^)]+)\)", TEXT)
MAX_PICTURE_BYTES = 300_000


def anchors(page: Path) -> list[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^##+ (.*)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_every_link_leads_somewhere(link: str) -> None:
    path, _, section = link.partition("#")
    target = GUIDE.parent / path if path else GUIDE
    assert target.exists()
    assert not section or section in anchors(target)


def test_the_contents_name_every_section_in_order() -> None:
    contents = TEXT[TEXT.index("Contents: ") :].split("\n\n")[0]
    assert re.findall(r"\]\(#([^)]+)\)", contents) == anchors(GUIDE)


def test_every_picture_is_made_by_the_script_and_is_shown() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(viewer/(\w+)\.png\)", TEXT)
    assert sorted(shown) == sorted(PICTURES) == sorted(file.stem for file in FOLDER.iterdir())
    assert "](docs/viewer/desk.png)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_small(name: str) -> None:
    assert (FOLDER / f"{name}.png").stat().st_size < MAX_PICTURE_BYTES


@pytest.mark.service
def test_the_default_model_answers_the_films_of_patients_and_refuses_the_ankle() -> None:
    names = ("normal.jpg", "pneumonia.dcm", "covid19.jpg", "ankle.png")
    with TestClient(create_app(Settings())) as client:
        answers = [
            client.post("/v1/predict", content=(SAMPLES / name).read_bytes()).json()
            for name in names
        ]
    assert [answer["in_distribution"] for answer in answers] == [True, True, True, False]


def test_a_film_of_the_readers_gets_into_no_picture_of_the_guide(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--film", "film.dcm"])
    with pytest.raises(SystemExit):
        main(["--film", "film.dcm", "--out", str(FOLDER)])
    assert "no film of a patient belongs there" in capsys.readouterr().err


def test_the_map_of_the_code_names_every_folder_of_the_viewer() -> None:
    words = set(re.findall(r"\w+", (ROOT / "docs" / "architecture.md").read_text()))
    viewer = ROOT / "service" / "viewer"
    folders = {file.parent.name for file in viewer.rglob("*.js") if file.parent != viewer}
    assert len(folders) == 6
    assert folders - words == set()
