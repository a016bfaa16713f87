"""A manifest of masks is read strictly."""

from pathlib import Path

import pytest

from tests.support.drawn_outlines import write_outlined_set
from training.outlines.outlined_films import read_outlined_films


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_outlined_set(tmp_path / "films", films=10)


def test_every_film_has_its_mask_and_what_it_shows(manifest: Path) -> None:
    films = read_outlined_films(manifest)
    assert [film.convention for film in films[:2]] == ["whole", "fields"]
    assert [film.mask_by for film in films[-2:]] == ["human", "network"]
    assert films[3].mask == manifest.parent / "3_mask.png"
    assert films[3].group_id == films[3].patient_id == "p3"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("image,mask", "image,masks", r"lacks the columns \['mask'\]"),
        (",human,whole", ",human,", "line 2 of .*: column 'convention' must not be empty"),
        (",human,whole", ",human,half", r"convention must be one of \('whole', 'fields'\)"),
        (",human,", ",me,", "mask_by must be one of"),
        (",train,", ",training,", "split must be one of"),
        ("3_mask.png", "absent.png", "1 files of .* do not exist"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    manifest: Path, before: str, after: str, message: str
) -> None:
    manifest.write_text(manifest.read_text().replace(before, after, 1))
    with pytest.raises(ValueError, match=message):
        read_outlined_films(manifest)
