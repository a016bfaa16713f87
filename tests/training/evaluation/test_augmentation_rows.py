"""benchmarks/augmentation.py tries every change of the films there is, each in a valid recipe."""

import sys
from pathlib import Path

from training.config import AugmentationConfig, read_config

# As a script it finds its neighbour in its own folder.
sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from augmentation import ROWS, recipes_of

ROOT = Path(__file__).parents[3]
OF_OTHER_FILMS = {"histogram_matching", "style_mixing"}
"""They would show grey levels of the origin left out."""


def test_every_row_is_a_recipe_and_no_two_are_alike() -> None:
    config = read_config(ROOT / "training/configs/vit_b16.toml")
    recipes = recipes_of(config)
    changes = [recipe.augmentation for recipe in recipes.values()]
    assert recipes["as in the recipe"].augmentation == config.augmentation
    assert all(changes.count(own) == 1 for own in changes)


def test_every_change_there_is_takes_part() -> None:
    changed = {name for row in list(ROWS.values())[2:] for name in row}
    assert changed == set(AugmentationConfig.model_fields) - OF_OTHER_FILMS
