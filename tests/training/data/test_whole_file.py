"""A file that is replaced is the new one or the former one, whole."""

from pathlib import Path

import pytest

from training.data.whole_file import replacing


def test_the_new_file_takes_the_former_ones_place(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "state.pt"
    for text in ("first", "second"):
        with replacing(file) as unfinished:
            unfinished.write_text(text)
            assert file.exists() == (text == "second")
        assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def write_half(file: Path, error: type[BaseException]) -> None:
    with replacing(file) as unfinished:
        unfinished.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_is_not_written_to_the_end_replaces_nothing(
    error: type[BaseException], tmp_path: Path
) -> None:
    file = tmp_path / "state.pt"
    file.write_text("former")
    with pytest.raises(error):
        write_half(file, error)
    assert file.read_text() == "former"
    assert list(tmp_path.iterdir()) == [file]
