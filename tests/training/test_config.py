"""A config is read strictly."""

from pathlib import Path

import pytest

from training.config import NetworkConfig, read_config

CONFIGS = sorted((Path(__file__).parents[2] / "training/configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_is_valid(path: Path) -> None:
    assert read_config(path).name


def test_a_size_that_leaves_half_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        NetworkConfig(image_size=(100, 100))


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIGS[0].read_text() + "\nlearning_rat = 1e-3\n")
    with pytest.raises(ValueError, match="learning_rat"):
        read_config(config)


def test_what_is_not_toml_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("epochs: 3")
    with pytest.raises(ValueError, match="is not a TOML file"):
        read_config(config)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.toml does not exist"):
        read_config(tmp_path / "nowhere.toml")


def test_a_name_that_no_card_could_bear_is_refused_before_the_training(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    text = CONFIGS[0].read_text()
    config.write_text(text.replace(f'name = "{CONFIGS[0].stem}"', 'name = "Chest CNN"', 1))
    with pytest.raises(ValueError, match="name"):
        read_config(config)
